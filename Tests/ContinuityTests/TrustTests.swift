import CContinuity
import Foundation
import Glibc
import Linux
import Testing

@testable import Continuity

/// By what the keeper knows an executable again, and which system calls it denies itself.
@Suite struct TrustTests {
    private func digest(_ bytes: [UInt8], isPlain: Bool) -> String {
        var digest = [UInt8](repeating: 0, count: 32)
        limpet_digest_bytes(bytes, bytes.count, isPlain ? 1 : 0, &digest)
        return digest.map { String($0 >> 4, radix: 16) + String($0 & 15, radix: 16) }.joined()
    }

    /// The examples of FIPS 180-4, and lengths around the end of a block; with the processor's instructions and without.
    @Test(arguments: [true, false]) func digests(_ isPlain: Bool) {
        #expect(
            digest([], isPlain: isPlain) == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855")
        #expect(
            digest(Array("abc".utf8), isPlain: isPlain)
                == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad")
        #expect(
            digest(Array("abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq".utf8), isPlain: isPlain)
                == "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1")
        #expect(
            digest([UInt8](repeating: 0x61, count: 1_000_000), isPlain: isPlain)
                == "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0")
        for count in [55, 56, 63, 64, 65, 119, 120, 128] {
            let bytes = (0..<count).map { UInt8($0) }
            #expect(digest(bytes, isPlain: true) == digest(bytes, isPlain: false))
        }
    }

    private func identity(_ path: String) throws -> limpet_identity {
        let descriptor = open(path, 0o10000000 | O_CLOEXEC)
        try #require(descriptor >= 0)
        defer { Descriptor.close(descriptor) }
        var identity = limpet_identity()
        try #require(limpet_identify_content(descriptor, &identity) == 0)
        return identity
    }

    @Test func whatAFileIsShows() throws {
        let path = FileManager.default.temporaryDirectory.path + "/limpet-trust-\(UUID().uuidString)"
        defer { unlink(path) }
        // Longer than what is read at once, and no whole number of blocks.
        try Data(repeating: 0x61, count: 150_001).write(to: URL(fileURLWithPath: path))
        let before = try identity(path)
        #expect(before.is_known == 1 && before.is_hashed == 1 && before.size == 150_001)
        let bytes = withUnsafeBytes(of: before.digest) { Array($0) }
        var expected = [UInt8](repeating: 0, count: 32)
        limpet_digest_bytes([UInt8](repeating: 0x61, count: 150_001), 150_001, 1, &expected)
        #expect(bytes == expected)
        try Data(repeating: 0x62, count: 150_001).write(to: URL(fileURLWithPath: path))
        let after = try identity(path)
        #expect(withUnsafeBytes(of: after.digest) { Array($0) } != bytes)
    }

    /// Of all that nobody has looked at.
    @Test func whatIsNotKnownIsNotExecuted() throws {
        limpet_trust_begin(getuid())
        let own = open("/proc/self/exe", 0o10000000 | O_CLOEXEC)
        let other = open("/bin/true", 0o10000000 | O_CLOEXEC)
        defer {
            Descriptor.close(own)
            Descriptor.close(other)
        }
        #expect(limpet_is_known(own) != 0)
        #expect(limpet_is_known(other) == 0 && limpet_is_known(-1) == 0)
        #expect(limpet_trust_variable(own) != nil && limpet_trust_variable(other) == nil)
    }

    // MARK: System calls

    @Test func everyCallHasAName() throws {
        let needed = SystemCalls.needed
        #expect(needed.count > 100 && needed.contains("splice") && needed.contains("execveat"))
        var index: UInt32 = 0
        while true {
            let number = limpet_call_needed(index)
            if number < 0 { break }
            let name = try #require(SystemCalls.name(UInt32(number)))
            #expect(limpet_call_number(name) == number)
            index += 1
        }
        #expect(SystemCalls.name(100_000) == nil && limpet_call_number("no such call") == -1)
    }

    /// What every image inherits must leave it all that it needs.
    @Test func nothingThatIsNeededIsDenied() throws {
        var denied: [String] = []
        var index: UInt32 = 0
        while true {
            let number = limpet_call_denied(index)
            if number == -1 { break }
            if number >= 0 { denied.append(try #require(SystemCalls.name(UInt32(number)))) }
            index += 1
        }
        #expect(denied.contains("ptrace") && denied.contains("io_uring_setup") && denied.contains("mount"))
        #expect(Set(denied).isDisjoint(with: SystemCalls.needed))
    }
}
