import Addressing
import CLinux
import Glibc
import Linux
import Synchronization

/// The clients: those that stay, and those that come and go.
final class ClientLoop: EndLoop {
    /// Connects that may be under way at once.
    private static let opening = 256

    private let rate: Int
    private var connecting = 0
    private var churnOwed = 0.0
    private var questionsOwed = 0.0
    private var talkers: [End] = []
    private var nextTalker = 0
    /// Those whose header is not out yet.
    private var hesitant: [End] = []

    /// - Parameter rate: questions per second, over all `talk` connections.
    init(_ board: Board, rate: Int) throws {
        self.rate = rate
        try super.init(board, role: 0)
    }

    override var isFinished: Bool { board.stopping && liveCount == 0 }

    override func ticked(_ elapsed: UInt64) {
        introduce()
        if board.stopping { return }
        let targets = board.targets.with { $0 }
        if targets.isEmpty { return }
        let seconds = Double(elapsed) / 1e9
        while board.started.load(ordering: .relaxed) < board.plan.standing && connecting < ClientLoop.opening {
            open(targets)
        }
        guard board.settled.load(ordering: .relaxed) == board.plan.standing else { return }
        churnOwed = min(churnOwed + seconds * Double(board.churn.load(ordering: .relaxed)), 200)
        while churnOwed >= 1 && connecting < ClientLoop.opening {
            churnOwed -= 1
            open(targets)
        }
        ask(seconds)
        feed(standing, seconds)
    }

    /// Questions, in turn; who waits for an answer is passed over.
    private func ask(_ seconds: Double) {
        questionsOwed = min(questionsOwed + seconds * Double(rate), Double(rate) / 10 + 1)
        while questionsOwed >= 1 && !talkers.isEmpty {
            questionsOwed -= 1
            nextTalker = (nextTalker + 1) % talkers.count
            question(talkers[nextTalker])
        }
    }

    private func question(_ end: End) {
        guard end.asked == 0, !end.isOver, !end.isFinal, let script = end.script else { return }
        end.asked = Clock.now()
        end.goal += script.message
        proceed(end)
    }

    // MARK: Coming

    private func open(_ targets: [Target]) {
        let number = UInt32(board.started.load(ordering: .relaxed))
        guard Int(number) < Ledger.capacity else { return }
        board.started.store(Int(number) + 1, ordering: .relaxed)
        let target = Int(number) % targets.count
        guard case .success(let descriptor) = StreamSocket.open(family: targets[target].address.family) else {
            board.fault(\.lost, "connection \(number): no socket")
            return
        }
        // An address of its own for each of some thousands, so that they spread over the backends and never run out of ports.
        let host = 0x7f01_0001 + (number % 4_000) / 250 << 8 + number % 250
        let bound = targets[target].isUnix ? 0 : give(descriptor, host)
        let failure = StreamSocket.connect(descriptor, to: targets[target].address)
        guard bound == 0, failure == nil || failure == .inProgress, let end = add(descriptor, interest: .write) else {
            board.fault(\.lost, "connection \(number): cannot connect: \(failure?.description ?? "bind")")
            return
        }
        let side = board.ledger.clients + Int(number)
        end.identify(number, Script(board.plan, number), side)
        side.pointee.isConnected = false
        side.pointee.count = 1
        side.pointee.host = host
        side.pointee.port = StreamSocket.localEndpoint(descriptor)?.port ?? 0
        side.pointee.target = targets[target].port
        if board.plan.header != .none {
            (side.pointee.host, side.pointee.port) = ProxyForm.source(number)
            end.preamble = board.plan.header.write(number, target: targets[target].port)
        }
        end.isConnecting = true
        connecting += 1
    }

    private func give(_ descriptor: Int32, _ host: UInt32) -> Int32 {
        StreamSocket.set(descriptor, Int32(IPPROTO_TCP), TCP_NODELAY, 1)
        StreamSocket.set(descriptor, Int32(IPPROTO_IP), IP_BIND_ADDRESS_NO_PORT, 1)
        return SocketAddress(IPAddress(v4: host), port: 0).withPointer { bind(descriptor, $0, $1) }
    }

    override func connected(_ end: End) {
        end.isConnecting = false
        connecting -= 1
        if let error = StreamSocket.takeError(end.descriptor) {
            board.fault(\.lost, "connection \(end.number): \(error)")
            board.connectFailures.add(1, ordering: .relaxed)
            end.side?.pointee.isFaulty = true
            drop(end)
            return
        }
        end.side?.pointee.isConnected = true
        if !end.preamble.isEmpty, !sayPreamble(end) { hesitant.append(end) }
        guard let script = end.script, script.kind != .churn else { return }
        standing.append(end)
        if script.kind == .talk { talkers.append(end) }
        // One question each shows that it works.
        end.goal = script.kind == .talk ? script.message : 64
        end.asked = now
    }

    /// Sends all of the header, or some bytes of it. True: it is out.
    private func sayPreamble(_ end: End) -> Bool {
        let count = end.dice.chance(50) ? end.preamble.count : end.dice.below(end.preamble.count + 1)
        let sent = send(end.descriptor, end.preamble, count, Int32(MSG_NOSIGNAL))
        if sent > 0 { end.preamble.removeFirst(sent) }
        // Whoever is reset finds out by itself.
        if sent < 0 && errno != EAGAIN { end.preamble = [] }
        return end.preamble.isEmpty
    }

    private func introduce() {
        let waiting = hesitant
        hesitant = []
        for end in waiting where !end.isOver {
            if sayPreamble(end) { proceed(end) } else { hesitant.append(end) }
        }
    }

    // MARK: Answers

    override func heard(_ end: End, _ count: Int) -> Bool {
        if end.received == 0 { Board.raise(board.worstOpening, to: Clock.now() - end.opened) }
        end.hear(buffer, count, board)
        guard let script = end.script, end.asked != 0 else { return true }
        if script.kind == .talk {
            if end.received < end.goal { return true }
            if end.isSettled {
                let gap = Clock.now() - end.asked
                Board.raise(board.gap, to: gap)
                Board.raise(board.worstGap, to: gap)
                board.messages.add(1, ordering: .relaxed)
            }
        }
        end.asked = 0
        if !end.isSettled {
            end.isSettled = true
            board.settled.add(1, ordering: .relaxed)
        }
        return true
    }
}

extension EndLoop {
    /// Lets `bulk` ends say more, as their speed allows; slow readers a little.
    func feed(_ ends: [End], _ seconds: Double) {
        for end in ends where !end.isOver && !end.isFinal && end.isSettled {
            guard let script = end.script else { continue }
            let speed = script.kind == .bulk ? board.plan.bulkRate : script.slowSide == role ? 20_000 : 0
            if speed == 0 || script.kind == .talk { continue }
            // No more ahead than a second's worth: who was held up does not have to catch up for ever.
            let more = UInt64(Double(speed) * seconds)
            if end.goal < end.sent + UInt64(speed) { end.goal += more }
            proceed(end)
        }
    }
}
