import Backends
import Foundation
import Linux
import Logging
import NIOCore
import NIOPosix
import Testing

@testable import Engine

/// What those who wait for the disk are told.
@Suite struct IntentKeeperTests {
    private let disk = SlowDisk()
    private let loop = MultiThreadedEventLoopGroup.singleton.next()
    private let lines = Lines()

    /// The log's lines.
    private final class Lines: Sendable {
        let all = Monitor([String]())

        func wait(_ count: Int) -> [String] {
            all.wait(within: .seconds(60)) { $0.count >= count ? $0 : nil } ?? all.with { $0 }
        }
    }

    private struct LinesHandler: LogHandler {
        let lines: Lines
        var metadata: Logger.Metadata = [:]
        var logLevel = Logger.Level.info
        subscript(metadataKey key: String) -> Logger.Metadata.Value? {
            get { metadata[key] }
            set { metadata[key] = newValue }
        }
        func log(event: LogEvent) {
            lines.all.with { $0.append("\(event.level): \(event.message)") }
        }
    }

    private func keeper(patience: TimeAmount = .hours(1)) throws -> IntentKeeper {
        let (disk, lines) = (disk, lines)
        let keeper = IntentKeeper(
            writer: IntentWriter(path: "/s/intent.json", retry: .milliseconds(5)) { _, text in disk.replace(text) },
            eventLoop: loop, log: Logger(label: "test") { _ in LinesHandler(lines: lines) }, userName: "limpet",
            patience: patience)
        try keeper.start()
        return keeper
    }

    private func save(_ keeper: IntentKeeper, _ count: Int = 0) throws -> EventLoopFuture<String?> {
        try loop.submit { keeper.save(Array(IntentFileTests.all.prefix(count))) }.wait()
    }

    private func unsaved(_ keeper: IntentKeeper) throws -> String? { try loop.submit { keeper.unsaved }.wait() }

    @Test func whoWaitsIsToldWhenItIsOnTheDisk() throws {
        let keeper = try keeper()
        let first = try save(keeper, 1)
        _ = disk.texts(1)
        let (second, third) = (try save(keeper, 2), try save(keeper, 3))
        disk.answer(nil, nil)
        #expect(try first.wait() == nil && second.wait() == nil && third.wait() == nil)
        // The second's text was never written: the third's holds it too.
        let texts = disk.texts(2)
        #expect(texts.count == 2 && texts[1].split(separator: "\n").count == 5)
        #expect(try unsaved(keeper) == nil)
        keeper.finish(within: .seconds(60))
        #expect(lines.wait(0) == [])
    }

    @Test(arguments: [
        (Errno.noSpace, "make room there"), (.quotaExceeded, "make room there"),
        (.accessDenied, "make the directory writable for user limpet, or name another with --state-directory"),
        (.readOnly, "make the directory writable for user limpet, or name another with --state-directory"),
        (.tooManyFiles, "raise the limit of open files (ulimit -n, LimitNOFILE=, fs.file-max)"),
        (Errno(rawValue: EIO), "look at the disk"),
    ])
    func aFailureIsToldWithItsCureUntilItIsOver(error: Errno, cure: String) throws {
        let keeper = try keeper()
        let failure = SystemError("write /s/intent.json.new", error)
        // The second of its own accord, and it fails in the same way: that is no news.
        disk.answer(failure, failure)
        let expected = "cannot write /s/intent.json.new: \(error); \(cure)"
        #expect(try save(keeper).wait() == expected)
        #expect(try unsaved(keeper) == expected)
        #expect(disk.texts(3).count == 3)
        disk.answer(nil)
        #expect(
            lines.wait(2) == [
                "warning: what operators set will not survive a restart: \(expected)",
                "notice: what operators have set is saved again",
            ])
        #expect(try unsaved(keeper) == nil)
        keeper.finish(within: .seconds(60))
    }

    @Test func aDiskThatDoesNotAnswerIsNotWaitedForForEver() throws {
        let keeper = try keeper(patience: .milliseconds(10))
        let stuck = try save(keeper)
        #expect(try stuck.wait() == "/s/intent.json is still being written; look at the disk")
        #expect(try unsaved(keeper) != nil)
        #expect(keeper.isWriting)
        disk.answer(nil)
        #expect(lines.wait(2).last == "notice: what operators have set is saved again")
        #expect(!keeper.isWriting)
        #expect(try unsaved(keeper) == nil)
        keeper.finish(within: .seconds(60))
    }

    @Test func theEndDoesNotWaitForEverEither() throws {
        let keeper = try keeper()
        _ = try save(keeper)
        _ = disk.texts(1)
        keeper.finish(within: .milliseconds(10))
        #expect(lines.wait(1) == ["error: the end does not wait for the state file any longer"])
        disk.answer(nil)
        keeper.finish(within: .seconds(60))
    }
}
