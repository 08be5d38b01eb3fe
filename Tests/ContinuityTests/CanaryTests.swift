import CContinuity
import Foundation
import Glibc
import Linux
import Testing

@testable import Continuity

/// Executables that are not what they should be, asked whether they are. That limpetd answers is seen in the tests of the
/// upgrade.
@Suite struct CanaryTests {
    private func refusal(_ path: String, limit: UInt64 = 20_000_000_000) throws -> String {
        let descriptor = open(path, pathOnly | O_CLOEXEC)
        try #require(descriptor >= 0)
        defer { Descriptor.close(descriptor) }
        return try #require(
            #expect(throws: UpgradeRefusal.self) {
                try Canary.ask(descriptor, document: Array("{}".utf8), limit: limit)
            }
        ).description
    }

    /// open(2)'s O_PATH, which the import lacks.
    private let pathOnly: Int32 = 0o10000000

    /// An executable file that goes with the object.
    private final class Program {
        let path = FileManager.default.temporaryDirectory.path + "/limpet-canary-\(UUID().uuidString)"

        init(_ contents: String) throws {
            try contents.write(toFile: path, atomically: false, encoding: .utf8)
            chmod(path, 0o755)
        }

        deinit { unlink(path) }
    }

    @Test func whatSaysNothingAndExits() throws {
        #expect(
            try refusal("/bin/true") == "it is no limpetd that can take over: it said nothing and exited with status 0")
        #expect(
            try refusal("/bin/false") == "it is no limpetd that can take over: it said nothing and exited with status 1"
        )
    }

    @Test func whatSaysSomethingElse() throws {
        let text = try refusal("/bin/cp")
        #expect(
            text.hasPrefix("it is no limpetd that can take over: it said \"") && text.hasSuffix("exited with status 1"))
    }

    @Test func whatGoesOnForEver() throws {
        #expect(
            try refusal("/usr/bin/yes", limit: 100_000_000)
                == "it is no limpetd that can take over: it said nothing within 100 ms, and was ended")
    }

    @Test func aScript() throws {
        let script = try Program("#!/bin/sh\necho limpet-canary 1\n")
        #expect(try refusal(script.path).hasPrefix("it is a script, or the loader that it names is missing"))
    }

    @Test func noProgramAtAll() throws {
        let text = try Program("hello\n")
        #expect(try refusal(text.path).hasPrefix("it is no program for this machine"))
        let plain = try Program("hello\n")
        chmod(plain.path, 0o644)
        #expect(try refusal(plain.path).contains("may not execute it"))
    }

    @Test func aProgramThatIsBeingWritten() throws {
        let program = try Program("")
        let writer = open(program.path, O_WRONLY)
        defer { Descriptor.close(writer) }
        #expect(try refusal(program.path).hasPrefix("it is being written"))
    }

    /// A shell tells what it was given: 0, 1 and 2, the pipe, and nothing else of all that is open here.
    @Test func nothingElseIsInherited() throws {
        let pipe = try Pipe.open(capacity: 4096)
        let other = open("/dev/null", O_RDONLY)
        let shell = open("/bin/sh", pathOnly | O_CLOEXEC)
        defer { for descriptor in [pipe.read, other, shell] { Descriptor.close(descriptor) } }
        let script = """
            i=0
            while [ $i -lt 300 ]; do [ ! -e /proc/$$/fd/$i ] || echo $i >&3; i=$((i + 1)); done
            targets=$(readlink /proc/$$/fd/0 /proc/$$/fd/1)
            echo "$targets" >&2
            """
        let child = CStringArray(["sh", "-c", script]).with { arguments in
            CStringArray(["PATH=/usr/bin:/bin"]).with { environment in
                limpet_spawn(shell, [pipe.write], 1, arguments, environment)
            }
        }
        Descriptor.close(pipe.write)
        try #require(child > 0)
        #expect(Processes.waitForEnd(child) == .exit(0))
        let text = [UInt8](unsafeUninitializedCapacity: 4096) { buffer, count in
            count = max(0, read(pipe.read, buffer.baseAddress!, buffer.count))
        }
        #expect(String(decoding: text, as: UTF8.self) == "0\n1\n2\n3\n/dev/null\n/dev/null\n")
    }

    @Test func aCopyOfThisProgramKnowsNothingOfItself() {
        #expect(TestImage.value("version") == nil)
    }
}
