import Control
import Foundation
import Linux
import Testing

@Suite struct ControlSocketTests {
    /// A directory that goes with the test.
    private func inDirectory(_ body: (String) throws -> Void) throws {
        let directory = try makeTemporaryDirectory()
        defer { try? FileManager.default.removeItem(atPath: directory) }
        try body(directory)
    }

    private func refusal(_ path: String) -> String? {
        do throws(ControlSocketError) {
            let socket = try ControlSocket.prepare(path: path, owner: nil)
            socket.remove()
            socket.close()
            return nil
        } catch {
            return error.description
        }
    }

    private func permissions(_ path: String) throws -> Int? {
        try FileManager.default.attributesOfItem(atPath: path)[.posixPermissions] as? Int
    }

    @Test func `A path over 107 bytes is refused with its length`() throws {
        let path = "/tmp/" + String(repeating: "x", count: 103)
        let text = try #require(refusal(path))
        #expect(text.contains("108 bytes") && text.contains("--control") && text.contains(path))
        try inDirectory { directory in
            let longest = directory + "/" + String(repeating: "x", count: 107 - directory.utf8.count - 1)
            #expect(refusal(longest) == nil)
        }
    }

    @Test func `A socket that somebody listens on is refused`() throws {
        try inDirectory { directory in
            let path = directory + "/s"
            let first = try ControlSocket.prepare(path: path, owner: nil)
            let text = try #require(refusal(path))
            #expect(text.contains(path) && text.contains("another process") && text.contains("--control"))
            #expect(FileManager.default.fileExists(atPath: path))
            first.remove()
            first.close()
        }
    }

    @Test func `A stale socket is replaced`() throws {
        try inDirectory { directory in
            let path = directory + "/s"
            let killed = try ControlSocket.prepare(path: path, owner: nil)
            killed.close()
            #expect(FileManager.default.fileExists(atPath: path))
            let next = try ControlSocket.prepare(path: path, owner: nil)
            let client = try RawClient(path)
            client.close()
            // What the first one made is no longer there for it to remove.
            killed.remove()
            #expect(FileManager.default.fileExists(atPath: path))
            next.remove()
            #expect(!FileManager.default.fileExists(atPath: path))
            next.close()
        }
    }

    @Test func `A file that is no socket is left alone`() throws {
        try inDirectory { directory in
            let path = directory + "/s"
            try "precious".write(toFile: path, atomically: false, encoding: .utf8)
            #expect(try #require(refusal(path)).contains("not a socket"))
            #expect(try String(contentsOfFile: path, encoding: .utf8) == "precious")
        }
    }

    @Test func `A directory that cannot be made is named`() throws {
        let text = try #require(refusal("/proc/limpet/s"))
        #expect(text.contains("/proc/limpet/s") && text.contains("make the directory /proc/limpet"))
    }

    /// A daemon that is stopped, with its queue full: whoever waited for it would wait for ever.
    @Test func `A socket that nobody accepts from is refused without waiting`() throws {
        try inDirectory { directory in
            let path = directory + "/s"
            let stuck = try ControlSocket.prepare(path: path, owner: nil)
            var waiting: [Int32] = []
            var error: Errno?
            while error == nil {
                let client = try UnixSocket.open(isBlocking: false).get()
                error = UnixSocket.connect(client, path: path)
                waiting.append(client)
            }
            #expect(error == .wouldBlock)
            #expect(try #require(refusal(path)).contains("another process"))
            for client in waiting { Descriptor.close(client) }
            stuck.remove()
            stuck.close()
        }
    }

    /// What whoever owns the directory could do between two calls of a daemon that is still root.
    @Test(.enabled(if: getuid() == 0)) func `Owner and permissions go to the file and not to its name`() throws {
        try inDirectory { directory in
            let (made, moved) = (directory + "/made", directory + "/moved")
            let victim = directory + "/victim"
            for path in [made, victim] {
                #expect(FileManager.default.createFile(atPath: path, contents: nil))
                chmod(path, 0o600)
            }
            let file = try PinnedFile(path: made)
            try FileManager.default.moveItem(atPath: made, toPath: moved)
            try FileManager.default.createSymbolicLink(atPath: made, withDestinationPath: victim)
            #expect(file.changePermissions(0o660) == nil)
            #expect(file.changeOwner(uid: 65534, gid: 65533) == nil)
            let (untouched, changed) = (try PathEntry.look(at: victim).get(), try PathEntry.look(at: moved).get())
            #expect(untouched.uid == 0 && untouched.permissions == 0o600)
            #expect(changed.uid == 65534 && changed.gid == 65533 && changed.permissions == 0o660)
            // A link that lies there already is held itself: it is neither followed nor taken for a socket.
            let link = try PinnedFile(path: made)
            #expect(try link.look().get().kind == .link)
        }
    }

    @Test(.enabled(if: getuid() == 0)) func `A lock with a second name stays whose it is`() throws {
        try inDirectory { directory in
            let (precious, lock) = (directory + "/precious", directory + "/lock")
            #expect(FileManager.default.createFile(atPath: precious, contents: nil))
            try FileManager.default.linkItem(atPath: precious, toPath: lock)
            let linked = try FileLock(path: lock, owner: (user: 65534, group: 65533))
            #expect(try PathEntry.look(at: precious).get().uid == 0)
            Descriptor.close(linked.descriptor)
            let own = try FileLock(path: directory + "/own", owner: (user: 65534, group: 65533))
            let entry = try PathEntry.look(at: directory + "/own").get()
            #expect(entry.uid == 65534 && entry.gid == 65533 && entry.permissions == 0o600)
            Descriptor.close(own.descriptor)
            try FileManager.default.createSymbolicLink(atPath: directory + "/link", withDestinationPath: precious)
            #expect(throws: Errno.self) { try FileLock(path: directory + "/link") }
        }
    }

    @Test func `The group may connect, others not, whatever the umask allows`() throws {
        try inDirectory { directory in
            let path = directory + "/run/s"
            let socket = try ControlSocket.prepare(path: path, owner: nil)
            #expect(try permissions(path) == 0o660)
            #expect(try permissions(directory + "/run") == 0o750)
            socket.remove()
            socket.close()
        }
    }

    @Test(.enabled(if: getuid() == 0)) func `File and directory belong to the owner that is named`() throws {
        try inDirectory { directory in
            let path = directory + "/run/s"
            let socket = try ControlSocket.prepare(path: path, owner: (user: 65534, group: 65533))
            for made in [path, directory + "/run"] {
                let entry = try PathEntry.look(at: made).get()
                #expect(entry.uid == 65534 && entry.gid == 65533)
            }
            #expect(socket.group == 65533)
            socket.remove()
            socket.close()
        }
    }
}
