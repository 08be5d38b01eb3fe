import Linux
import Synchronization

/// What came of it all, once both threads have ended.
struct Verdict {
    let board: Board
    private(set) var upstream: UInt64 = 0
    private(set) var downstream: UInt64 = 0
    private(set) var missing: UInt64 = 0
    private(set) var surplus: UInt64 = 0
    /// Connections that ended by a reset which one of their own ends had sent.
    private(set) var resets = 0

    /// Looks at every connection there was. Call once.
    init(_ board: Board) {
        self.board = board
        for number in 0..<board.started.load(ordering: .relaxed) {
            judge(number, board.ledger.clients[number], board.ledger.backends[number])
        }
    }

    var faults: Faults { board.faults.with { $0 } }

    private mutating func judge(_ number: Int, _ client: Side, _ backend: Side) {
        upstream += backend.received
        downstream += client.received
        if client.ended == .reset || backend.ended == .reset { resets += 1 }
        // What has been reported already is not reported again.
        if client.isFaulty || backend.isFaulty || client.count == 0 { return }
        let script = Script(board.plan, UInt32(number))
        let name = "connection \(number) (\(script.kind), \(script.ending))"
        if script.isAnonymous {
            if script.ending == .emptyFinish && client.seen != .fin {
                board.fault(client.seen == .reset ? \.resets : \.stuck, "\(name) ended by \(client.seen), not by fin")
            }
            return
        }
        if backend.count == 0 {
            if client.ended != .reset { board.fault(\.lost, "\(name) never reached a backend; seen: \(client.seen)") }
            return
        }
        judge("\(name), upstream", client, backend, script)
        judge("\(name), downstream", backend, client, script)
    }

    /// One direction.
    private mutating func judge(_ name: String, _ sender: Side, _ receiver: Side, _ script: Script) {
        let figures = "\(receiver.received) of \(sender.sent) bytes"
        // Who resets has given up what was on its way to it.
        if receiver.ended == .reset { return }
        switch (sender.ended, receiver.seen) {
        case (.fin, .fin), (.reset, .reset),
            (.reset, .fin) where board.plan.hasUnixSockets:
            if sender.ended == .reset && !script.isExchangeComplete {
                if receiver.received > sender.sent { repeated(name, figures, receiver.received - sender.sent) }
            } else if receiver.received < sender.sent {
                missing += sender.sent - receiver.received
                board.fault(\.short, "\(name): \(figures)")
            } else if receiver.received > sender.sent {
                repeated(name, figures, receiver.received - sender.sent)
            }
        case (.reset, .fin): board.fault(\.resetsAsEnds, "\(name): the reset came as an end, after \(figures)")
        case (_, .reset): board.fault(\.resets, "\(name): a reset that nobody sent, after \(figures)")
        case (.none, .fin): board.fault(\.short, "\(name): an end that nobody sent, after \(figures)")
        case (.none, .none):
            // Told of by the other direction, where the sender was reset.
            if sender.seen != .reset { board.fault(\.stuck, "\(name): stands still after \(figures)") }
        case (_, .none): board.fault(\.stuck, "\(name): the end never came, after \(figures)")
        }
    }

    private mutating func repeated(_ name: String, _ figures: String, _ bytes: UInt64) {
        surplus += bytes
        board.fault(\.repeated, "\(name): \(figures)")
    }

    /// One line of JSON.
    var line: String {
        let faults = faults
        let fields: [(String, String)] = [
            ("verdict", faults.total == 0 ? "\"pass\"" : "\"fail\""),
            ("connections", "\(board.started.load(ordering: .relaxed))"),
            ("standing", "\(board.plan.standing)"),
            ("messages", "\(board.messages.load(ordering: .relaxed))"),
            ("bytes_up", "\(upstream)"), ("bytes_down", "\(downstream)"),
            ("resets_sent", "\(resets)"),
            ("faults", "\(faults.total)"),
            ("lost", "\(faults.lost)"), ("stuck", "\(faults.stuck)"), ("doubled", "\(faults.doubled)"),
            ("resets", "\(faults.resets)"), ("resets_as_ends", "\(faults.resetsAsEnds)"),
            ("short", "\(faults.short)"), ("skipped", "\(faults.skipped)"), ("repeated", "\(faults.repeated)"),
            ("foreign", "\(faults.foreign)"), ("corrupt", "\(faults.corrupt)"), ("headers", "\(faults.headers)"),
            ("bytes_missing", "\(missing)"), ("bytes_surplus", "\(surplus)"),
            ("worst_gap_us", "\(board.worstGap.load(ordering: .relaxed) / 1000)"),
            ("worst_opening_us", "\(board.worstOpening.load(ordering: .relaxed) / 1000)"),
        ]
        return "{" + fields.map { "\"\($0)\": \($1)" }.joined(separator: ", ") + "}"
    }
}

extension Script {
    /// Whether the reset comes only when everything has arrived.
    fileprivate var isExchangeComplete: Bool { kind == .churn && (ending == .clientResets || ending == .backendResets) }
}
