import Control
import Foundation
import Testing

/// Upgrades on the socket, and limpetctl's verb. What an upgrade does is seen in the integration tests.
@Suite struct UpgradeTests {
    private static let program: String = {
        let tests = (try? FileManager.default.destinationOfSymbolicLink(atPath: "/proc/self/exe")) ?? ""
        return URL(fileURLWithPath: tests).deletingLastPathComponent().appendingPathComponent("limpetctl").path
    }()

    private static let serving = UpgradeReport(
        id: 3, state: .serving, oldVersion: "0.1.0", newVersion: "0.2.0", connections: 9000, pauseMilliseconds: 2.94)
    private static let refused = UpgradeReport(
        id: 3, state: .refused, oldVersion: "0.1.0", newVersion: nil, reason: "/opt/limpetd: there is no such file")
    private static let rolledBack = UpgradeReport(
        id: 3, state: .rolledBack, oldVersion: "0.1.0", newVersion: "0.2.0",
        reason: "the new version ended before it had taken over")

    private func ctl(
        _ daemon: TestDaemon, _ arguments: String...
    ) throws -> (status: Int32, output: String, error: String) {
        try run(UpgradeTests.program, arguments, environment: ["LIMPET_CONTROL": daemon.path])
    }

    private func plane(_ reports: UpgradeReport...) -> FakePlane {
        var state = FakePlane.State()
        let begun = UpgradeReport(id: 3, state: .checking, oldVersion: "0.1.0", newVersion: nil)
        let parking = UpgradeReport(id: 3, state: .parking, oldVersion: "0.1.0", newVersion: "0.2.0")
        state.upgrades = [begun, parking] + reports
        return FakePlane(state)
    }

    // MARK: The socket

    @Test func `What makes no sense is refused and begins nothing`() throws {
        try TestDaemon.run { (daemon) throws in
            for (body, text) in [
                (#"{"path":7}"#, "\"path\" has the wrong type"), (#"{"pth":"/x"}"#, "unknown field \"pth\""),
                (#"{"no_rollback":"yes"}"#, "\"no_rollback\" has the wrong type"), ("[]", "an object is wanted"),
            ] {
                let response = try daemon.ask("POST", "/v1/upgrade", body: body)
                #expect(response.status == 400, "\(body)")
                #expect((response.error["message"] as? String)?.contains(text) == true, "\(response.body)")
            }
            #expect(try daemon.ask("GET", "/v1/upgrade").headers["allow"] == "POST")
            #expect(try daemon.ask("POST", "/v1/upgrades/3").headers["allow"] == "GET")
            #expect(try daemon.ask("GET", "/v1/upgrades").error["code"] as? String == "unknown_path")
            #expect(try daemon.ask("GET", "/v1/upgrades/three").status == 400)
            #expect(try daemon.ask("GET", "/v1/upgrades/9").error["code"] as? String == "no_such_object")
            #expect(daemon.plane.with { $0.changes }.isEmpty)
        }
    }

    @Test func `It is accepted before anything has happened, and asked for by its number`() throws {
        try TestDaemon.run(plane(UpgradeTests.serving)) { (daemon) throws in
            let begun = try daemon.ask("POST", "/v1/upgrade", body: #"{"no_rollback":true}"#)
            #expect(begun.status == 202)
            #expect(begun.json["id"] as? Int == 3 && begun.json["state"] as? String == "checking")
            #expect(begun.json["new_version"] is NSNull && begun.json["pause_ms"] is NSNull)
            #expect(daemon.plane.with { $0.changes } == ["upgrade - true"])
            var states: [String] = []
            repeat {
                let response = try daemon.ask("GET", "/v1/upgrades/3")
                states.append(response.json["state"] as? String ?? "")
            } while states.last != "serving" && states.count < 9
            #expect(states == ["checking", "parking", "serving"])
        }
    }

    @Test(.enabled(if: getuid() == 0)) func `Root may name the executable, by an absolute path`() throws {
        try TestDaemon.run { (daemon) throws in
            let response = try daemon.ask("POST", "/v1/upgrade", body: #"{"path":"limpetd"}"#)
            #expect(response.status == 400)
            #expect((response.error["message"] as? String)?.contains("not an absolute path") == true)
            #expect(try daemon.ask("POST", "/v1/upgrade", body: #"{"path":"/opt/limpetd"}"#).status == 202)
            #expect(daemon.plane.with { $0.changes } == ["upgrade /opt/limpetd false"])
        }
    }

    /// The user that the daemon runs as may do everything else.
    @Test(.enabled(if: getuid() == 0)) func `Nobody else may name it`() throws {
        let user: UInt32 = 65534
        try TestDaemon.run(plane(UpgradeTests.serving), access: AccessPolicy(user: user, group: user)) {
            (daemon) throws in
            chmod(daemon.path, 0o666)
            let command = [
                "--reuid", "65534", "--regid", "65534", "--clear-groups", UpgradeTests.program, "--control",
                daemon.path, "upgrade",
            ]
            let named = try run("/usr/bin/setpriv", command + ["/opt/limpetd"], environment: [:])
            #expect(named.status == 5)
            #expect(named.error.contains("only root may name the executable"))
            #expect(daemon.plane.with { $0.changes }.isEmpty)
            let own = try run("/usr/bin/setpriv", command, environment: [:])
            #expect(own.status == 0, "\(own)")
            #expect(daemon.plane.with { $0.changes } == ["upgrade - false"])
        }
    }

    // MARK: limpetctl

    @Test func `It returns when the new version serves, and prints what was kept`() throws {
        try TestDaemon.run(plane(UpgradeTests.serving)) { (daemon) throws in
            let result = try ctl(daemon, "upgrade")
            #expect(result.status == 0)
            #expect(result.output == "0.1.0 → 0.2.0, 9000 connections kept, pause 2.9 ms\n")
            #expect(result.error.isEmpty)
            #expect(
                try ctl(daemon, "--plain", "upgrade").output == "3\tserving\t0.1.0\t0.2.0\t9000\t2.9\t-\n")
            let object = try #require(
                JSONSerialization.jsonObject(with: Data(ctl(daemon, "--json", "upgrade").output.utf8))
                    as? [String: Any])
            #expect(object["connections"] as? Int == 9000 && object["pause_ms"] as? Double == 2.94)
            #expect(object["reason"] is NSNull)
        }
    }

    @Test func `Refused and rolled back are 1, with the reason`() throws {
        try TestDaemon.run(plane(UpgradeTests.refused)) { (daemon) throws in
            let result = try ctl(daemon, "upgrade")
            #expect(result.status == 1 && result.output.isEmpty)
            #expect(
                result.error
                    == "limpetctl: the upgrade was refused, and nothing has changed: "
                    + "/opt/limpetd: there is no such file\n")
            let plain = try ctl(daemon, "--plain", "upgrade")
            #expect(plain.status == 1)
            #expect(plain.output == "3\trefused\t0.1.0\t-\t-\t-\t/opt/limpetd: there is no such file\n")
        }
        try TestDaemon.run(plane(UpgradeTests.rolledBack)) { (daemon) throws in
            let result = try ctl(daemon, "upgrade", "--no-rollback")
            #expect(result.status == 1 && result.output.isEmpty)
            #expect(
                result.error
                    == "limpetctl: 0.1.0 → 0.2.0, rolled back: the new version ended before it had taken over; "
                    + "version 0.1.0 serves, with all connections\n")
        }
    }

    @Test(.enabled(if: getuid() == 0)) func `A path is taken from where it was typed`() throws {
        try TestDaemon.run(plane(UpgradeTests.serving)) { (daemon) throws in
            let script = "cd \"$0\" && exec \"$1\" upgrade bin/limpetd"
            let result = try run(
                "/bin/sh", ["-c", script, daemon.directory, UpgradeTests.program],
                environment: ["LIMPET_CONTROL": daemon.path])
            #expect(result.status == 0, "\(result)")
            #expect(try ctl(daemon, "upgrade", "/opt/limpetd").status == 0)
            #expect(
                daemon.plane.with { $0.changes } == [
                    "upgrade \(daemon.directory)/bin/limpetd false", "upgrade /opt/limpetd false",
                ])
            #expect(try ctl(daemon, "upgrade", "").status == 2)
        }
    }

    @Test func `Somebody else's upgrade is not taken for ours`() throws {
        try TestDaemon.run { (daemon) throws in
            let result = try ctl(daemon, "upgrade")
            #expect(result.status == 4)
            #expect(result.error.contains("3: no such upgrade, or another came after it"))
        }
    }
}
