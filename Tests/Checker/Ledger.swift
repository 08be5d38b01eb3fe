import Glibc

/// How a direction ended.
enum StreamEnd: UInt8 {
    case none, fin, reset
}

/// What one end of a connection did and saw.
struct Side {
    /// Bytes that this end's kernel took.
    var sent: UInt64 = 0
    /// Bytes that arrived here.
    var received: UInt64 = 0
    /// How this end ended its own direction.
    var ended = StreamEnd.none
    /// How it saw the other's end.
    var seen = StreamEnd.none
    /// How often a connection of this number came to be.
    var count: UInt8 = 0
    /// Something was wrong that has been reported already.
    var isFaulty = false
    var isConnected = false
    /// The client's port in host order.
    var port: UInt16 = 0
    /// Its IPv4 address in host order.
    var host: UInt32 = 0
    /// Where it connected to, as an index of the board's targets.
    var target: UInt16 = 0
}

/// The accounts of all connections, by number. The clients' thread writes the clients' sides and the backends' thread the
/// backends'; each reads of the other's only what a message from there has told it is there. Once both threads have ended,
/// anybody may read all of it.
final class Ledger: @unchecked Sendable {
    static let capacity = 1 << 21

    let clients: UnsafeMutablePointer<Side>
    let backends: UnsafeMutablePointer<Side>

    init() {
        // Pages that no connection ever uses are never touched.
        clients = Ledger.zeroed()
        backends = Ledger.zeroed()
    }

    private static func zeroed() -> UnsafeMutablePointer<Side> {
        guard let memory = calloc(capacity, MemoryLayout<Side>.stride) else { fatalError("no memory for the ledger") }
        return memory.bindMemory(to: Side.self, capacity: capacity)
    }

    deinit {
        free(clients)
        free(backends)
    }
}
