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

    @Test func `The group may connect, others not, whatever the umask allows`() throws {
        try inDirectory { directory in
            let path = directory + "/run/s"
            let socket = try ControlSocket.prepare(path: path, owner: nil)
            #expect(try permissions(path).map { $0 & 0o007 } == 0)
            #expect(try permissions(directory + "/run").map { $0 & 0o027 } == 0)
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
