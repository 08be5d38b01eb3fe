internal import Addressing

/// One count of the clients: a walk over all connections, a slice at a time. Lives on the control event loop.
///
/// It is a class so that the table grows in place over all slices: who copies it once a slice takes time with the square of
/// the clients.
final class ClientCount {
    /// Slots that one step looks at.
    private static let slice = 256

    private let walk: any ConnectionCursor
    private let limit: Int
    private var connections: [IPAddress: Int] = [:]

    /// - Parameters:
    ///   - walk: from its beginning.
    ///   - limit: clients that are told apart; what is found of others later is left out.
    init(_ walk: any ConnectionCursor, limit: Int) {
        self.walk = walk
        self.limit = limit
    }

    /// Counts one slice.
    /// - Returns: false: there was none left, and all are counted.
    func step() -> Bool {
        guard let rows = walk.next(limit: ClientCount.slice) else { return false }
        for row in rows {
            let client = row.client.address
            if connections.count < limit || connections[client] != nil { connections[client, default: 0] += 1 }
        }
        return true
    }

    /// Those with most connections, in descending order, and by address where they have as many.
    /// - Parameter count: so many at most.
    func most(_ count: Int) -> [StatusDocument.Client] {
        typealias Entry = (client: IPAddress, connections: Int)
        func isBefore(_ one: Entry, _ other: Entry) -> Bool {
            (other.connections, one.client) < (one.connections, other.client)
        }
        // Never more of them than are wanted: there may be a hundred thousand.
        var most: [Entry] = []
        for (client, connections) in connections {
            let one = (client: client, connections: connections)
            if most.count == count {
                guard let last = most.last, isBefore(one, last) else { continue }
                most.removeLast()
            }
            most.insert(one, at: most.firstIndex { isBefore(one, $0) } ?? most.endIndex)
        }
        return most.map { StatusDocument.Client(client: "\($0.client)", connections: $0.connections) }
    }
}
