import Addressing
import Control

/// What a plane for tests has to show.
extension FakePlane {
    static func backend(_ service: String, _ name: String, port: UInt16, connections: Int) -> BackendRow {
        BackendRow(
            service: service, name: name, address: .endpoint(Endpoint(address: IPAddress(v4: 0x7f00_0001), port: port)),
            state: .up, intent: .ready, health: .up, weight: 1, weightConfigured: 1, connections: connections,
            connecting: 0,
            away: 0, total: 17, bytesIn: 1_288_490_189, bytesOut: 999, connectFailures: 3, fallbacks: 2,
            since: Timestamp(milliseconds: 1_700_000_000_000))
    }

    static func row(
        _ id: UInt64, service: String, backend: String, client: String, age: Double, idle: Double
    ) -> ConnectionRow {
        ConnectionRow(
            id: ConnectionID(id), service: service, listener: "0.0.0.0:80", backend: backend, home: backend,
            client: endpoint(client), peer: endpoint(client), clientLocal: endpoint("192.0.2.1:80"),
            backendAddress: .endpoint(endpoint("127.0.0.1:9001")),
            backendLocal: id == 2 ? nil : endpoint("127.0.0.1:50000"),
            state: id == 2 ? .halfClosed : .open, ageSeconds: age, idleSeconds: idle, bytesIn: id * 1000, bytesOut: 24,
            worker: 0)
    }

    /// A table of many rows.
    static func many(_ count: Int) -> State {
        var state = State()
        state.rows = (1...count).map { number in
            row(
                UInt64(number), service: "chat", backend: number % 2 == 0 ? "ws1" : "ws2",
                client: "10.0.\(number / 250 % 250).\(number % 250):40000", age: Double(count - number), idle: 0)
        }
        return state
    }
}

func endpoint(_ text: String) -> Endpoint { try! Endpoint(parsing: text) }

/// Goes through the rows of a plane.
final class Walk: ConnectionCursor {
    private let plane: FakePlane
    private var slot = 0

    init(_ plane: FakePlane) {
        self.plane = plane
    }

    func next(limit: Int) -> [ConnectionRow]? {
        let slot = slot
        let rows: [ConnectionRow]? = plane.with { state in
            guard slot < state.rows.count else { return nil }
            let end = min(slot + limit, state.rows.count)
            state.slotsSeen += end - slot
            return Array(state.rows[slot..<end])
        }
        self.slot += limit
        return rows
    }

    func kernel(_ row: ConnectionRow) -> ConnectionRow.Kernel? {
        plane.with { $0.kernelLooks += 1 }
        let side = ConnectionRow.Side(rttSeconds: 0.0125, retransmits: 3, unacknowledged: 999, unread: 7)
        return ConnectionRow.Kernel(
            client: side, backend: row.backendLocal == nil ? nil : side, pipeIn: 65536, pipeOut: 0)
    }
}
