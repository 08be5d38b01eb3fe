import Foundation
import Linux
import Testing

@testable import Engine

@Suite struct IntentWriterTests {
    private let disk = SlowDisk()
    private let full = SystemError("write", .noSpace)

    private func writer(retry: Duration = .seconds(3600)) throws -> IntentWriter {
        let disk = disk
        let writer = IntentWriter(path: "/x", retry: retry) { _, text in disk.replace(text) }
        try writer.start { number, failure in
            disk.state.with { $0.reports.append((number, failure != nil)) }
        }
        return writer
    }

    private func write(_ text: String, _ writer: IntentWriter) -> UInt64 { writer.write(Array(text.utf8)) }

    @Test func whatComesMeanwhileIsWrittenOnceAndOnlyTheNewest() throws {
        let writer = try writer()
        #expect(write("a", writer) == 1)
        #expect(disk.texts(1) == ["a"])
        #expect(write("b", writer) == 2 && write("c", writer) == 3 && write("d", writer) == 4)
        disk.answer(nil, nil)
        #expect(disk.reports(2) == ["1", "4"])
        #expect(disk.texts(2) == ["a", "d"])
        #expect(writer.finish(within: .seconds(60)))
        #expect(disk.texts(2) == ["a", "d"])
    }

    @Test func theEndWaitsForWhatIsUnderWayAndForWhatWaits() throws {
        let writer = try writer()
        _ = write("a", writer)
        _ = disk.texts(1)
        _ = write("b", writer)
        #expect(!writer.finish(within: .milliseconds(20)))
        disk.answer(nil, nil)
        #expect(writer.finish(within: .seconds(60)))
        #expect(disk.texts(2) == ["a", "b"])
    }

    @Test func theEndIsImmediateWhereNothingWaits() throws {
        let writer = try writer()
        #expect(writer.finish(within: .seconds(60)))
        #expect(disk.texts(0) == [])
    }

    @Test func whatHasFailedIsTriedAgainUntilItIsDone() throws {
        let writer = try writer(retry: .milliseconds(5))
        disk.answer(full, full, nil)
        _ = write("a", writer)
        #expect(disk.reports(3) == ["1 failed", "1 failed", "1"])
        #expect(disk.texts(3) == ["a", "a", "a"])
        #expect(writer.finish(within: .seconds(60)))
        #expect(disk.texts(3).count == 3)
    }

    @Test func aNewerTextDoesNotWaitForTheTimeOfTheNextTrial() throws {
        let writer = try writer()
        disk.answer(full, nil)
        _ = write("a", writer)
        #expect(disk.reports(1) == ["1 failed"])
        _ = write("b", writer)
        #expect(disk.reports(2) == ["1 failed", "2"])
        #expect(writer.finish(within: .seconds(60)))
    }

    @Test func theEndTriesOnceMore() throws {
        let writer = try writer()
        disk.answer(full, full)
        _ = write("a", writer)
        #expect(disk.reports(1) == ["1 failed"])
        #expect(writer.finish(within: .seconds(60)))
        #expect(disk.texts(2) == ["a", "a"])
    }
}
