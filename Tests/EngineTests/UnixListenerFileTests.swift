import Addressing
import Foundation
import Testing

@testable import Linux

/// The file of a Unix listener gets its owner and permissions from a process that may do more than the directory's owner.
@Suite struct UnixListenerFileTests {
    private let directory = FileManager.default.temporaryDirectory.appending(path: "limpet-\(UUID().uuidString)")

    /// Somebody who may write the directory puts a link, or a file of his own, in the socket's place before it has its owner.
    @Test(arguments: ["link", "file", "hard link"]) func nothingButTheSocketItselfIsTouched(_ swap: String) throws {
        try FileManager.default.createDirectory(at: directory, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(at: directory) }
        let (victim, place) = (directory.appending(path: "victim").path, directory.appending(path: "s.sock").path)
        try #require(FileManager.default.createFile(atPath: victim, contents: nil))
        try #require(chmod(victim, 0o600) == 0)
        let before = try PathEntry.look(at: victim).get()
        switch swap {
        case "link": try #require(symlink(victim, place) == 0)
        case "file": try FileManager.default.copyItem(atPath: victim, toPath: place)
        default: try #require(link(victim, place) == 0)
        }
        let placed = try PathEntry.look(at: place).get()
        #expect(throws: Errno.exists) {
            try UnixListener.give(try UnixPath(parsing: "unix:" + place), to: .init(mode: 0o666, user: nil, group: nil))
        }
        let after = try PathEntry.look(at: victim).get()
        #expect(after.permissions == before.permissions && after.uid == before.uid)
        #expect(try PathEntry.look(at: place).get().permissions == placed.permissions)
    }

    /// A socket of somebody else is none that this process has made.
    @Test(.enabled(if: geteuid() == 0)) func aSocketOfSomebodyElseIsLeftAlone() throws {
        try FileManager.default.createDirectory(at: directory, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(at: directory) }
        let path = try UnixPath(parsing: "unix:" + directory.appending(path: "s.sock").path)
        let made = try UnixListener.open(path, .init(mode: 0o600, user: nil, group: nil))
        defer { close(made.descriptor) }
        #expect(made.file?.permissions == 0o600)
        try #require(chown(path.name, 12345, 12345) == 0)
        #expect(throws: Errno.exists) {
            try UnixListener.give(path, to: .init(mode: 0o666, user: nil, group: nil))
        }
        #expect(try PathEntry.look(at: path.name).get().permissions == 0o600)
        let taken = try #require(try? PathEntry.look(at: path.name).get())
        #expect(taken.uid == 12345)
    }
}
