import Foundation
import Glibc
import Linux
import Testing

@testable import Continuity

/// Who could have had a hand in an executable.
@Suite struct UpgradePathTests {
    /// A directory below the system's temporary one, made by the user of the tests; its own files are trusted.
    private final class Place {
        let path: String
        let trusted: Set<UInt32> = [0, geteuid()]

        init() throws {
            var template = Array("\(FileManager.default.temporaryDirectory.path)/limpet-path-XXXXXX".utf8CString)
            let made = try #require(mkdtemp(&template))
            path = String(cString: try #require(realpath(made, nil)))
            chmod(path, 0o755)
        }

        deinit { try? FileManager.default.removeItem(atPath: path) }

        @discardableResult
        func file(_ name: String, _ mode: mode_t = 0o755, contents: String = "x") throws -> String {
            let file = "\(path)/\(name)"
            try contents.write(toFile: file, atomically: false, encoding: .utf8)
            #expect(chmod(file, mode) == 0)
            return file
        }

        @discardableResult
        func directory(_ name: String, _ mode: mode_t = 0o755) throws -> String {
            let directory = "\(path)/\(name)"
            #expect(mkdir(directory, 0o755) == 0)
            #expect(chmod(directory, mode) == 0)
            return directory
        }

        @discardableResult
        func link(_ name: String, to target: String) -> String {
            let link = "\(path)/\(name)"
            #expect(symlink(target, link) == 0)
            return link
        }

        func open(_ path: String) throws -> Int32 { try UpgradePath.open(path, trusted: trusted) }

        /// Opens it, and says which file it got.
        func inode(_ path: String) throws -> ino_t {
            let descriptor = try open(path)
            defer { Descriptor.close(descriptor) }
            var status = stat()
            #expect(fstat(descriptor, &status) == 0)
            return status.st_ino
        }

        func refusal(_ path: String) throws -> String {
            try #require(
                #expect(throws: UpgradeRefusal.self) { Descriptor.close(try open(path)) }
            ).description
        }
    }

    private func inode(_ path: String) -> ino_t {
        var status = stat()
        #expect(stat(path, &status) == 0)
        return status.st_ino
    }

    @Test func anOrdinaryProgramIsOpened() throws {
        let place = try Place()
        let file = try place.file("limpetd")
        #expect(try place.inode(file) == inode(file))
        // However it is written.
        try place.directory("inner")
        #expect(try place.inode("\(place.path)/./inner//../limpetd") == inode(file))
        #expect(try place.inode("/../\(file)") == inode(file))
    }

    @Test func programsOfTheSystemAreRootsOwn() throws {
        let descriptor = try UpgradePath.open("/bin/true", trusted: [0])
        Descriptor.close(descriptor)
    }

    @Test func whatIsNotThereIsNamed() throws {
        let place = try Place()
        #expect(try place.refusal("\(place.path)/limpetd") == "\(place.path)/limpetd: there is no such file")
        #expect(try place.refusal("\(place.path)/no/limpetd") == "\(place.path)/no: there is no such file")
        let file = try place.file("limpetd")
        #expect(try place.refusal("\(file)/limpetd") == "\(file): it is no directory")
        #expect(try place.refusal("limpetd") == "limpetd: the path must be absolute")
        #expect(try place.refusal("") == ": the path must be absolute")
        #expect(try place.refusal("/bin/tr\0ue").contains("NUL"))
        #expect(try place.refusal("\(place.path)/" + String(repeating: "x", count: 300)).contains("ENAMETOOLONG"))
    }

    @Test func onlyRegularFilesThatCanBeExecuted() throws {
        let place = try Place()
        #expect(try place.refusal(place.path) == "\(place.path): it is no regular file")
        #expect(try place.refusal("/dev/null") == "/dev/null: it is no regular file")
        let fifo = "\(place.path)/fifo"
        #expect(mkfifo(fifo, 0o755) == 0)
        #expect(try place.refusal(fifo).contains("no regular file"))
        let file = try place.file("limpetd", 0o644)
        #expect(try place.refusal(file) == "\(file): it is not executable (chmod a+x)")
    }

    @Test func whatOthersMayWriteToIsRefused() throws {
        let place = try Place()
        let file = try place.file("limpetd", 0o757)
        #expect(try place.refusal(file).hasPrefix("\(file): everybody may write to it"))
        chmod(file, 0o755)
        let directory = try place.directory("open", 0o757)
        let inner = try place.file("open/limpetd")
        #expect(try place.refusal(inner).hasPrefix("\(directory): everybody may write to it"))
        // The way there counts, not only where it ends.
        #expect(try place.refusal("\(directory)/../limpetd").hasPrefix("\(directory): everybody may write to it"))
        // Nobody but the owner can move what lies in a sticky directory.
        chmod(directory, 0o1777)
        #expect(try place.inode(inner) == inode(inner))
    }

    @Test func aGroupIsOthersUnlessItIsRoots() throws {
        let place = try Place()
        let file = try place.file("limpetd", 0o775)
        if geteuid() == 0 {
            #expect(chown(file, 0, 0) == 0)
            #expect(try place.inode(file) == inode(file))
            #expect(chown(file, 0, 12345) == 0)
        }
        #expect(try place.refusal(file).hasPrefix("\(file): its group may write to it"))
        chmod(file, 0o755)
        let directory = try place.directory("shared", 0o775)
        let inner = try place.file("shared/limpetd")
        if geteuid() == 0 { #expect(chown(directory, 0, 12345) == 0) }
        #expect(try place.refusal(inner).hasPrefix("\(directory): its group may write to it"))
    }

    @Test func theOwnerMustBeTrusted() throws {
        #expect(throws: UpgradeRefusal.self) { try UpgradePath.open("/bin/true", trusted: [54321]) }
        let place = try Place()
        try place.directory("foreign")
        let file = try place.file("foreign/limpetd")
        guard geteuid() == 0 else { return }
        #expect(chown(file, 54321, 0) == 0)
        #expect(try place.refusal(file).hasPrefix("\(file): it belongs to user 54321 and not to root"))
        #expect(chown(file, 0, 0) == 0)
        #expect(chown("\(place.path)/foreign", 54321, 0) == 0)
        #expect(try place.refusal(file).hasPrefix("\(place.path)/foreign: it belongs to user 54321"))
        // An ordinary user's own daemon may be that user's own file.
        let descriptor = try UpgradePath.open(file, trusted: [0, 54321])
        Descriptor.close(descriptor)
    }

    @Test func linksAreFollowedAndTheirWayIsLookedAt() throws {
        let place = try Place()
        try place.directory("bin")
        let file = try place.file("bin/limpetd")
        let relative = place.link("relative", to: "bin/limpetd")
        let absolute = place.link("absolute", to: file)
        let chain = place.link("chain", to: "./relative")
        let directory = place.link("lib", to: "bin/../bin")
        for path in [relative, absolute, chain, "\(directory)/limpetd"] {
            #expect(try place.inode(path) == inode(file))
        }
        let loop = place.link("loop", to: "loop")
        #expect(try place.refusal(loop).contains("too many symbolic links"))
        let nowhere = place.link("nowhere", to: "/nonexistent/limpetd")
        #expect(try place.refusal(nowhere) == "/nonexistent: there is no such file")
        // What a link leads through counts too.
        let open = try place.directory("open", 0o757)
        try place.file("open/limpetd")
        let through = place.link("through", to: "open/limpetd")
        #expect(try place.refusal(through).hasPrefix("\(open): everybody may write to it"))
    }

    @Test(.enabled(if: geteuid() == 0)) func aLinkOfAnUntrustedUserIsNotFollowed() throws {
        let place = try Place()
        let file = try place.file("limpetd")
        try place.directory("tmp", 0o1777)
        let link = place.link("tmp/limpetd", to: file)
        #expect(try place.inode(link) == inode(file))
        #expect(lchown(link, 54321, 54321) == 0)
        #expect(try place.refusal(link).hasPrefix("\(link): it belongs to user 54321"))
    }

    /// Whatever takes the name afterwards: what was looked at is what the descriptor stands for.
    @Test func theDescriptorStaysWithTheFileThatWasLookedAt() throws {
        let place = try Place()
        let file = try place.file("limpetd")
        let before = inode(file)
        let descriptor = try place.open(file)
        defer { Descriptor.close(descriptor) }
        #expect(rename(try place.file("other"), file) == 0)
        var status = stat()
        #expect(fstat(descriptor, &status) == 0)
        #expect(status.st_ino == before && inode(file) != before)
        #expect(fcntl(descriptor, F_GETFD) & FD_CLOEXEC != 0)
    }
}
