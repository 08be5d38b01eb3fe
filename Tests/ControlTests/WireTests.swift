import Control
import Foundation
import Testing

@Suite struct WireTests {
    @Test func `A missing value is null and not left out`() throws {
        let row = FakePlane.row(2, service: "chat", backend: "ws1", client: "203.0.113.8:40001", age: 1, idle: 1)
        let object = try JSONSerialization.jsonObject(with: JSONEncoder().encode(row)) as? [String: Any]
        #expect(object?["backend_local"] is NSNull)
        #expect(try JSONDecoder().decode(ConnectionRow.self, from: JSONEncoder().encode(row)) == row)
    }

    @Test func `Every row has the fields that other tools rely on, and no others`() throws {
        func fields(_ value: some Encodable) throws -> Set<String> {
            let object = try JSONSerialization.jsonObject(with: JSONEncoder().encode(value)) as? [String: Any]
            return Set(try #require(object).keys)
        }
        let plane = FakePlane()
        #expect(
            try fields(plane.backends()[0]) == [
                "service", "name", "address", "state", "intent", "health", "weight", "weight_configured", "connections",
                "connecting", "away", "total", "bytes_in", "bytes_out", "connect_failures", "fallbacks", "since",
                "intent_since", "closes_at", "weight_since", "check", "check_result", "checked_at", "next_check",
                "ramp", "drain", "resolution",
            ])
        let resolution = BackendRow.Resolution(
            name: "a.example", addresses: [], records: 0, leftOut: 0, answeredAt: nil, error: nil, template: nil)
        #expect(
            try fields(resolution) == [
                "name", "addresses", "records", "left_out", "answered_at", "error", "template",
            ])
        #expect(
            try fields(plane.with { $0.rows[1] }) == [
                "id", "service", "listener", "backend", "home", "client", "peer", "client_local", "backend_address",
                "backend_local", "state", "age_seconds", "idle_seconds", "bytes_in", "bytes_out", "worker",
                "away_reason", "kernel",
            ])
        #expect(
            try fields(Reply(version: "1", body: plane.status())) == [
                "schema", "version", "time", "pid", "engine_pid", "engine_generation", "uptime_seconds", "ready",
                "workers", "connections", "max_connections", "descriptor_limit", "descriptor_failures",
                "local_failures", "pipes", "max_pipes", "pipes_refused", "capabilities", "sandbox", "user",
                "config_hash", "services", "differences", "metrics", "unsaved", "source_ports", "last_death",
            ])
        #expect(
            try fields(plane.status().sandbox) == [
                "wanted", "system_calls", "landlock_abi", "missing", "directories", "violations",
            ])
        #expect(
            try fields(plane.listeners()[0]) == [
                "service", "name", "address", "connections", "accepted", "refused", "state", "reason", "options",
            ])
        #expect(
            try fields(ControlError(.failed, "x")) == ["code", "message", "suggestion", "exit", "further"])
    }

    @Test(arguments: [
        (Int64(0), "1970-01-01T00:00:00.000Z"), (951_782_400_007, "2000-02-29T00:00:00.007Z"),
        (1_700_000_000_000, "2023-11-14T22:13:20.000Z"), (4_107_542_399_999, "2100-02-28T23:59:59.999Z"),
        (4_107_542_400_000, "2100-03-01T00:00:00.000Z"), (-1, "1969-12-31T23:59:59.999Z"),
    ])
    func `Times are RFC 3339 in UTC, both ways`(milliseconds: Int64, text: String) {
        #expect(Timestamp(milliseconds: milliseconds).description == text)
        #expect(Timestamp(text)?.milliseconds == milliseconds)
    }

    @Test(arguments: [
        "", "2023-11-14", "2023-11-14T22:13:20Z", "2023-13-14T22:13:20.000Z", "2023-11-14T24:13:20.000Z",
        "2023-11-14T22:13:20.000+01:00", "2023-11-14t22:13:20.000Z",
    ])
    func `Other texts are no times`(text: String) {
        #expect(Timestamp(text) == nil)
    }

    @Test func `A connection's number is plain hexadecimal`() {
        for text in ["", "-1", "+1", "0x1", "g", "10000000000000000", " 1"] { #expect(ConnectionID(text) == nil) }
        #expect(ConnectionID("1A2f")?.value == 0x1a2f)
        #expect(ConnectionID(0x1a2f).description == "1a2f")
    }

    @Test func `Durations need a unit and no more`() {
        for text in ["", "5", "s", "-5s", "1.5s", "5 s", "5S", "5sec", "99999999999999999999s", "3651d"] {
            #expect(DurationText.parse(text) == nil, "\(text)")
        }
        #expect(DurationText.parse("500ms") == .milliseconds(500))
        #expect(DurationText.parse("2h") == .seconds(7200))
        #expect(DurationText.parse("3d") == .seconds(259_200))
    }

    @Test(arguments: [
        (-1.0, "0s"), (0.9, "0s"), (59.99, "59s"), (60, "1m00s"), (725, "12m05s"), (3599, "59m59s"), (3600, "1h00m"),
        (86_399, "23h59m"), (86_400, "1d00h"), (522_000, "6d01h"),
    ])
    func `Ages have two units`(seconds: Double, text: String) {
        #expect(DurationText.age(seconds: seconds) == text)
    }

    @Test func `Every kind of error has an exit status of the documented ones`() {
        for code in ControlError.Code.allCases {
            #expect((1...8).contains(code.exitStatus))
            #expect((400...599).contains(code.httpStatus))
        }
        #expect(ControlError.Code.noSuchObject.exitStatus == 4)
        #expect(ControlError.Code.needsForce.exitStatus == 8)
    }
}

@Suite struct AccessPolicyTests {
    private let policy = AccessPolicy(user: 990, group: 991)

    private func refusal(_ caller: Caller, _ action: AccessPolicy.Action) -> ControlError? {
        do throws(ControlError) {
            try policy.check(caller, action)
            return nil
        } catch {
            return error
        }
    }

    @Test func `A stranger may do nothing`() {
        let stranger = Caller(pid: 1, uid: 1000, gid: 1000, groups: [4, 24])
        #expect(refusal(stranger, .read)?.code == .permission)
        #expect(refusal(stranger, .change)?.exit == 5)
    }

    @Test func `The group may read and not change`() {
        for member in [Caller(pid: 1, uid: 1000, gid: 991), Caller(pid: 1, uid: 1000, gid: 1000, groups: [4, 991])] {
            #expect(refusal(member, .read) == nil)
            #expect(refusal(member, .change)?.code == .permission)
        }
    }

    @Test func `The administrators' group may change, in whatever order groups are`() {
        var policy = policy
        policy.adminGroup = 992
        for member in [
            Caller(pid: 1, uid: 1000, gid: 992), Caller(pid: 1, uid: 1000, gid: 991, groups: [4, 991, 992]),
        ] {
            #expect(policy.role(of: member) == .administrator)
            #expect(throws: Never.self) { try policy.check(member, .change) }
        }
        let reader = Caller(pid: 1, uid: 1000, gid: 991)
        #expect(policy.role(of: reader) == .reader)
        #expect(throws: ControlError.self) { try policy.check(reader, .change) }
        #expect(policy.role(of: Caller(pid: 1, uid: 1000, gid: 1000)) == .stranger)
        #expect(policy.groups == [991, 992])
    }

    @Test func `The daemon's user and root may change`() {
        for uid: UInt32 in [0, 990] {
            #expect(refusal(Caller(pid: 1, uid: uid, gid: 1000), .change) == nil)
        }
    }
}
