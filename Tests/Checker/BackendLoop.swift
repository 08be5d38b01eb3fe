import Addressing
import CLinux
import Glibc
import Linux
import Synchronization

/// The backends: they learn from the first bytes whose connection they have, and then play their part of its script.
final class BackendLoop: EndLoop {
    private let listeners: [Int32]

    init(_ board: Board, listeners: [Int32]) throws {
        self.listeners = listeners
        try super.init(board, role: 1)
        for (position, listener) in listeners.enumerated() {
            if let failure = poller.add(listener, token: UInt64(position) << 1, interest: .read) {
                throw SystemError("watch a listener", failure)
            }
        }
    }

    /// The clients come to an end first; what they have left in the queues is still accepted.
    override var isFinished: Bool {
        board.stopping && liveCount == 0 && board.clientsDone.load(ordering: .acquiring)
    }

    override func ticked(_ elapsed: UInt64) {
        if !board.stopping { feed(standing, Double(elapsed) / 1e9) }
    }

    override func ownEvent(_ position: Int) {
        var peer = SocketAddress()
        for _ in 0..<64 {
            guard case .success(let descriptor) = StreamSocket.accept(listeners[position], peer: &peer) else { return }
            StreamSocket.set(descriptor, Int32(IPPROTO_TCP), TCP_NODELAY, 1)
            _ = add(descriptor, interest: .read)
        }
    }

    override func over(_ end: End) {
        // A header comes as a whole or not at all, whatever becomes of the connection.
        if end.script == nil, !end.pending.isEmpty, board.plan.proxy.read(end.pending[...]) == .incomplete {
            board.fault(\.headers, "a connection ends within its PROXY header: \(end.pending)")
        }
    }

    override func heard(_ end: End, _ count: Int) -> Bool {
        if end.script != nil {
            end.hear(buffer, count, board)
            return true
        }
        end.pending.append(contentsOf: UnsafeRawBufferPointer(start: buffer, count: count))
        return introduce(end)
    }

    /// Reads the PROXY header and the first head of the stream. False: it is nobody's connection.
    private func introduce(_ end: End) -> Bool {
        switch board.plan.proxy.read(end.pending[...]) {
        case .incomplete: return true
        case .malformed:
            board.fault(\.headers, "a PROXY header that is none: \(end.pending.prefix(120))")
            drop(end)
            return false
        case .header(let length, let host, let targetHost, let port, let targetPort):
            guard end.pending.count >= length + StreamPattern.headBytes else { return true }
            let head = end.pending[length...].withUnsafeBytes { StreamPattern.head($0.baseAddress!) }
            guard let head, head.direction == 0, head.cell == 0,
                Int(head.number) < board.started.load(ordering: .relaxed)
            else {
                board.fault(\.corrupt, "a connection begins with \(end.pending.prefix(64))")
                drop(end)
                return false
            }
            let client = board.ledger.clients[Int(head.number)]
            if board.plan.proxy != .none,
                host != client.host || port != client.port || targetPort != client.target || targetHost != 0x7f00_0001
            {
                board.fault(
                    \.headers,
                    "connection \(head.number) comes from port \(client.port); its PROXY header says \(port)")
            }
            if board.plan.header == .v2, board.plan.proxy == .v2,
                Array(end.pending[28..<length]) != ProxyForm.fields(head.number)
            {
                board.fault(\.headers, "connection \(head.number) has not the fields that its client sent")
            }
            take(end, head.number, length)
            return true
        }
    }

    private func take(_ end: End, _ number: UInt32, _ headerBytes: Int) {
        let side = board.ledger.backends + Int(number)
        side.pointee.count += 1
        if side.pointee.count > 1 { board.fault(\.doubled, "connection \(number) reaches a backend twice") }
        let script = Script(board.plan, number)
        end.identify(number, script, side)
        end.pending[headerBytes...].withUnsafeBytes { end.hear($0.baseAddress!, $0.count, board) }
        end.pending = []
        if script.kind != .churn {
            standing.append(end)
            end.isSettled = true
            // The answer to the client's first word.
            if script.kind != .talk { end.goal = 64 }
        }
    }
}
