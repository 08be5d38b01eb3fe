import Foundation
import Testing

/// The file of what operators have set, and what may be wrong with it.
@Suite(.ownThread, .fence)
struct StateFileTests {
    /// Writes one drain, and ends the daemon.
    private func prepare(_ scene: Restartable) throws -> String {
        let daemon = try scene.start()
        try daemon.ctl.expect("drain", "ws1")
        try daemon.stop()
        return try #require(scene.kept)
    }

    static let damages: [(name: String, damage: @Sendable (String) -> String, reason: String)] = [
        ("empty", { _ in "" }, "is not JSON, or was cut short"),
        ("cut short", { String($0.prefix($0.utf8.count / 2)) }, "is not JSON, or was cut short"),
        ("of a later format", { $0.replacingOccurrences(of: "\"format\":1", with: "\"format\":2") }, "is of format 2"),
        ("twice", { $0.replacingOccurrences(of: "\n]}", with: ",\n\($0.split(separator: "\n")[1])\n]}") }, "twice"),
        ("too large", { $0 + String(repeating: " ", count: 9 << 20) }, "File too large (EFBIG)"),
    ]

    @Test(arguments: damages.indices)
    func whatCannotBeUsedIsSetAside(_ number: Int) throws {
        let (name, damage, reason) = Self.damages[number]
        let scene = try Restartable()
        let damaged = damage(try prepare(scene))
        try damaged.write(toFile: scene.file, atomically: false, encoding: .utf8)
        let daemon = try scene.start()
        #expect(try daemon.ctl.backends().allSatisfy { $0.intent == "ready" }, "\(name)")
        let aside = try #require(scene.aside.first)
        #expect(scene.aside.count == 1 && (try? String(contentsOfFile: aside, encoding: .utf8)) == damaged)
        let warnings = daemon.logLines(containing: "warning", scene.file, reason)
        #expect(warnings.count == 1 && warnings[0].contains(aside), "\(daemon.log)")
        // It works on with a new one.
        try daemon.ctl.expect("drain", "ws2")
        try daemon.kill()
        let next = try scene.start()
        #expect(try next.ctl.backends().map(\.intent) == ["ready", "drain", "ready"])
        #expect(scene.aside.count == 1)
        try next.stop()
    }

    @Test func whatADeathInTheMiddleOfWritingLeftIsIgnored() throws {
        let scene = try Restartable()
        _ = try prepare(scene)
        try "half".write(toFile: scene.file + ".new", atomically: false, encoding: .utf8)
        let daemon = try scene.start()
        #expect(try daemon.ctl.backend("ws1").intent == "drain")
        try eventually("it is gone") { !FileManager.default.fileExists(atPath: scene.file + ".new") }
        #expect(scene.aside == [])
        try daemon.stop()
    }

    @Test func theFileIsTheDaemonsAlone() throws {
        let scene = try Restartable()
        if isRoot { scene.user = "nobody" }
        _ = try prepare(scene)
        let attributes = try FileManager.default.attributesOfItem(atPath: scene.file)
        #expect(attributes[.posixPermissions] as? Int == 0o600)
        let owner = isRoot ? try #require(getpwnam("nobody")?.pointee).pw_uid : getuid()
        #expect(attributes[.ownerAccountID] as? UInt32 == owner)
    }

    /// What root's daemon has written, the user's daemon reads.
    @Test(.enabled(if: isRoot)) func anotherUserTakesTheFileOver() throws {
        let scene = try Restartable()
        _ = try prepare(scene)
        chown(scene.state, try #require(getpwnam("nobody")?.pointee).pw_uid, 0)
        scene.user = "nobody"
        let daemon = try scene.start()
        #expect(try daemon.ctl.backend("ws1").intent == "drain")
        #expect(try daemon.ctl.status().unsaved == nil)
        try daemon.stop()
    }

    /// Somebody who may write to the directory must not be given a file of another's by root.
    @Test(.enabled(if: isRoot)) func onlyWhatIsTheDaemonsIsGivenAway() throws {
        let scene = try Restartable()
        _ = try prepare(scene)
        let target = "\(scene.directory)/secret"
        try "secret".write(toFile: target, atomically: false, encoding: .utf8)
        chmod(target, 0o600)
        for link in [{ symlink(target, scene.file) }, { Foundation.link(target, scene.file) }] {
            try FileManager.default.removeItem(atPath: scene.file)
            try #require(link() == 0)
            chown(scene.state, try #require(getpwnam("nobody")?.pointee).pw_uid, 0)
            scene.user = "nobody"
            let daemon = try scene.start()
            #expect(try FileManager.default.attributesOfItem(atPath: target)[.ownerAccountID] as? Int == 0)
            #expect(try String(contentsOfFile: target, encoding: .utf8) == "secret")
            #expect(daemon.logLines(containing: "warning", "was set aside").count == 1, "\(daemon.log)")
            try daemon.stop()
        }
    }

    /// The verb works, and says what will not.
    @Test func aDirectoryThatTakesNoWritesIsToldAndNoObstacle() throws {
        let scene = try Restartable()
        if isRoot { scene.user = "nobody" }
        let daemon = try scene.start()
        chmod(scene.state, 0o500)
        defer { chmod(scene.state, 0o700) }
        let outcome = try daemon.ctl.run("drain", "ws1")
        #expect(outcome.status == 0 && outcome.stdout == "chat/ws1: drained\n", "\(outcome)")
        #expect(outcome.stderr.hasPrefix("limpetctl: warning: done, but a restart would forget it: cannot "))
        #expect(outcome.stderr.contains(scene.state) && outcome.stderr.contains("--state-directory"), "\(outcome)")
        #expect(try daemon.ctl.backend("ws1").intent == "drain")
        #expect(try daemon.ctl.status().unsaved?.contains(scene.state) == true)
        #expect(try daemon.ctl.expect("status").contains("a restart would forget what operators have set:\n  cannot "))
        // Once, not for every try.
        try daemon.ctl.expect("drain", "ws2")
        #expect(daemon.logLines(containing: "warning", "will not survive a restart", scene.state).count == 1)
        chmod(scene.state, 0o700)
        #expect(try daemon.ctl.run("undrain", "ws2").stderr == "")
        #expect(try daemon.ctl.status().unsaved == nil)
        #expect(daemon.logLines(containing: "saved again").count == 1)
        try daemon.kill()
        let next = try scene.start()
        #expect(try next.ctl.backends().map(\.intent) == ["drain", "ready", "ready"])
        try next.stop()
    }

    /// Whoever loses power finds the old file or the new one: what is renamed has reached the disk, and the name after it,
    /// before the verb is answered.
    @Test(.enabled(if: FileManager.default.isExecutableFile(atPath: "/usr/bin/strace"), "strace is missing"))
    func itReachesTheDiskInTheRightOrder() throws {
        let scene = try Restartable()
        let trace = "\(scene.directory)/trace"
        scene.wrapper = [
            "strace", "-f", "-qq", "-y", "-s", "4096", "-o", trace,
            "-e", "trace=openat,write,writev,fchmod,fsync,rename",
        ]
        let daemon = try scene.start()
        try daemon.ctl.expect("drain", "ws1")
        try daemon.ctl.expect("shutdown")
        try daemon.ended()
        let calls = try String(contentsOfFile: trace, encoding: .utf8).split(separator: "\n").compactMap { line in
            // Behind the process id.
            let call = line.drop { $0.isNumber || $0 == " " }
            // A field that no other answer of these has.
            if call.contains(#"\"unsaved\":null"#) && call.contains("drained") { return "answer" }
            // The second half of a call that another thread's came into the midst of is counted with its first.
            guard call.contains(scene.state), !call.contains("/lock"), !call.hasPrefix("<... ") else { return nil }
            // The sandbox looks at the directory, and the log tells of it.
            if call.contains("O_PATH") || call.contains("writes_in") { return nil }
            return String(call.prefix { $0 != "(" }) + (call.contains("intent.json.new") ? " new" : "")
        }
        let once = ["openat new", "fchmod new", "write new", "fsync new", "rename new", "openat", "fsync"]
        #expect(calls == ["openat"] + once + once + ["answer"], "\(calls)")
    }

    @Test(.enabled(if: isRoot)) func aDirectoryOfAnothersIsToldAtTheStart() throws {
        let scene = try Restartable()
        try FileManager.default.createDirectory(atPath: scene.state, withIntermediateDirectories: false)
        scene.user = "nobody"
        let daemon = try scene.start()
        try eventually("it warns") {
            daemon.logLines(containing: "warning", scene.state, "EACCES", "user nobody").count == 1
        }
        #expect(try daemon.ctl.run("weight", "ws1", "2").status == 0)
        try daemon.stop()
    }

    /// A file system of its own that has no room, in a mount namespace of its own.
    @Test(.enabled(if: isRoot)) func aFullDiskIsToldAndTriedAgain() throws {
        let scene = try Restartable()
        try FileManager.default.createDirectory(atPath: scene.state, withIntermediateDirectories: false)
        scene.wrapper = [
            "unshare", "--mount", "--propagation", "private", "sh", "-c",
            "mount -t tmpfs -o size=64k none \"$0\" && exec \"$@\"", scene.state,
        ]
        let daemon = try scene.start()
        let inside = "/proc/\(daemon.pid)/root\(scene.state)"
        try eventually("the first writing is done") { FileManager.default.fileExists(atPath: "\(inside)/intent.json") }
        // Until nothing more goes in.
        let fill = open("\(inside)/fill", O_WRONLY | O_CREAT, 0o600)
        while write(fill, [UInt8](repeating: 1, count: 4096), 4096) > 0 {}
        close(fill)
        let outcome = try daemon.ctl.run("drain", "ws1")
        #expect(outcome.status == 0 && outcome.stderr.contains("ENOSPC"), "\(outcome)")
        #expect(outcome.stderr.contains("make room"), "\(outcome)")
        #expect(!FileManager.default.fileExists(atPath: "\(inside)/intent.json.new"))
        try FileManager.default.removeItem(atPath: "\(inside)/fill")
        // By itself, after a while.
        try eventually("it is saved again") { try daemon.ctl.status().unsaved == nil }
        #expect(try String(contentsOfFile: "\(inside)/intent.json", encoding: .utf8).contains("drain"))
        try daemon.stop()
    }
}
