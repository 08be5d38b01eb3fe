import Foundation
import Stickiness
import Testing

@testable import Configuration

/// The files themselves.
@Suite struct LoaderTests {
    private let none = FlagValues()

    @Test func aFileThatCannotBeRead() throws {
        #expect(
            complaints(none, path: "/nonexistent/limpet.toml")
                == ["/nonexistent/limpet.toml: cannot be read: No such file or directory"])
        try withTemporaryDirectory { directory in
            #expect(complaints(none, path: directory) == ["\(directory): is not a regular file"])
            let pipe = directory + "/pipe"
            #expect(mkfifo(pipe, 0o600) == 0)
            #expect(complaints(none, path: pipe) == ["\(pipe): is not a regular file"])
        }
    }

    @Test func aFileThatIsTooLarge() throws {
        try withTemporaryDirectory { directory in
            let comment = Data(repeating: UInt8(ascii: "#"), count: ConfigurationLoader.fileLimit)
            let text = Data("\n".utf8) + Data(document().utf8)
            let path = try write(comment + text, to: directory + "/limpet.toml")
            #expect(complaints(none, path: path) == ["\(path): is larger than 1MiB"])
            try write(comment.dropLast(text.count) + text, to: path)
            #expect(complaints(none, path: path) == ["accepted"])
        }
    }

    @Test func aFileThatIsNotUTF8() throws {
        try withTemporaryDirectory { directory in
            let path = try write(Data(document().utf8) + Data([0x23, 0xff]), to: directory + "/limpet.toml")
            #expect(complaints(none, path: path) == ["\(path): is not UTF-8"])
        }
    }

    @Test func theErrorsOfAFileBearItsName() throws {
        try withTemporaryDirectory { directory in
            let path = try write(Data("workers = 0".utf8), to: directory + "/x.toml")
            #expect(
                complaints(none, path: path) == [
                    #"\#(path): "workers" must be an integer from 1 to 64, or "auto", not 0"#,
                    "\(path): no services: add a [[service]] with name, listen and backends",
                ])
        }
    }

    @Test(arguments: [
        "", "0123456789abcdef0123456789abcde", "0123456789abcdef0123456789abcdef0",
        "0123456789abcdef0123456789abcdeg", "0123456789abcdef 0123456789abcdef",
    ])
    func aKeyThatIsMalformed(text: String) throws {
        try withTemporaryDirectory { directory in
            let key = try write(Data(text.utf8), to: directory + "/key")
            let path = try write(
                Data(document(daemon: "hash-key-file = \"\(key)\"").utf8), to: directory + "/limpet.toml")
            #expect(
                complaints(none, path: path) == [
                    "\(key): must hold 32 hexadecimal digits and nothing else (openssl rand -hex 16 makes a key)"
                ])
        }
    }

    @Test func aKeyFileThatCannotBeRead() throws {
        try withTemporaryDirectory { directory in
            let path = try write(
                Data(document(daemon: "hash-key-file = \"\(directory)/key\"").utf8), to: directory + "/limpet.toml")
            #expect(complaints(none, path: path) == ["\(directory)/key: cannot be read: No such file or directory"])
            try write(Data(repeating: 0x30, count: 5000), to: directory + "/key")
            #expect(complaints(none, path: path) == ["\(directory)/key: is larger than 4KiB"])
        }
    }

    @Test func theKeyIsReadAndNeverShown() throws {
        try withTemporaryDirectory { directory in
            let digits = "0F1E2d3c4b5a69788796a5b4c3d2e1f0"
            let key = try write(Data("\(digits)\n".utf8), to: directory + "/key")
            var flags = FlagValues(listen: ["127.0.0.1:0"], backends: ["127.0.0.1:1"])
            flags.set(ConfigurationKeys.hashKeyFile, key)
            let loaded = try ConfigurationLoader.load(path: nil, flags: flags)
            #expect(loaded.configuration.hashKey == HashKey(hexadecimal: digits))
            #expect(loaded.configuration.hashKeyFile == key)
            #expect(loaded.warnings == [])
            var dumped = ""
            dump(loaded, to: &dumped)
            for shown in [loaded.configuration.canonicalText, "\(loaded)", dumped] {
                #expect(shown.contains(key))
                #expect(!shown.lowercased().contains("0f1e2d3c"))
            }
        }
    }

    @Test func aKeyThatEverybodyCanReadIsMentioned() throws {
        try withTemporaryDirectory { directory in
            let key = try write(
                Data("0123456789abcdef0123456789abcdef".utf8), to: directory + "/key", mode: 0o644)
            var flags = FlagValues(listen: ["127.0.0.1:0"], backends: ["127.0.0.1:1"])
            flags.set(ConfigurationKeys.hashKeyFile, key)
            #expect(
                complaints(flags)
                    == ["accepted", "\(key): everybody can read the hash key (mode 644): chmod o-r \(key)"])
            try write(Data("0123456789abcdef0123456789abcdef".utf8), to: key, mode: 0o640)
            #expect(complaints(flags) == ["accepted"])
        }
    }
}
