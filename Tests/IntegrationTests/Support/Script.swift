import Foundation

/// A random sequence that its seed determines.
struct Dice {
    private var state: UInt64

    init(seed: UInt64) { state = seed }

    mutating func next() -> UInt64 {
        state = Pattern.mixed(state)
        return state
    }

    /// 0 ..< bound.
    mutating func below(_ bound: Int) -> Int { Int(next() % UInt64(bound)) }

    mutating func chance(_ percent: Int) -> Bool { below(100) < percent }

    /// Sizes at which forwarders change their ways: none, a byte, a packet, a scratch buffer, a pipe, much more.
    mutating func size() -> Int {
        let largest = [0, 1, 100, 1_500, 20_000, 70_000, 300_000, 3_000_000][below(8)]
        return largest <= 1 ? largest : 1 + below(largest)
    }
}

/// What both ends of one connection do: how much each sends in which pieces, how slowly each reads, how it ends. All of it follows
/// from the seed.
struct Script: Sendable, CustomStringConvertible {
    enum End: Sendable {
        /// Each end finishes when it has sent everything.
        case finish
        /// One end resets when it has sent everything, whatever has arrived.
        case reset(by: Way)
    }

    let seed: UInt64
    let upstream: Int
    let downstream: Int
    let end: End
    let isUrgent: Bool
    let clientBuffer: Int32?

    init(seed: UInt64) {
        var dice = Dice(seed: seed)
        self.seed = seed
        upstream = dice.size()
        downstream = dice.size()
        end = dice.chance(70) ? .finish : .reset(by: dice.chance(50) ? .upstream : .downstream)
        isUrgent = dice.chance(25)
        clientBuffer = dice.chance(30) ? 4_096 << Int32(dice.below(5)) : nil
    }

    var description: String {
        "seed \(seed): \(upstream) up, \(downstream) down, \(end)\(isUrgent ? ", urgent bytes" : "")"
    }

    func size(_ way: Way) -> Int { way == .upstream ? upstream : downstream }
    func pattern(_ way: Way) -> Pattern { Pattern(seed: seed ^ (way == .upstream ? 1 : 2) << 40) }

    /// Plays both ends.
    /// - Returns: what was not as it has to be; nil: everything was.
    func play(_ pair: Pair) -> String? {
        let senders = Way.allCases.map { way in
            Background("\(self): sending \(way)") { try send(pair.ends(way).sender, way) }
        }
        let receivers = Way.allCases.map { way in
            Background("\(self): receiving \(way)") { try receive(pair.ends(way).receiver, way) }
        }
        do {
            let wasReset = try senders.map { try $0.value() }
            let received = try receivers.map { try $0.value() }
            for (way, result) in zip(Way.allCases, received) {
                let sawReset = result.end == .reset || wasReset[way == .upstream ? 1 : 0]
                if let problem = judge(way, result.count, sawReset) { return "\(self): \(way): \(problem)" }
            }
            return nil
        } catch {
            return "\(self): \(error)"
        }
    }

    /// - Parameter sawReset: whether this receiver was told of a reset, while receiving or while sending.
    private func judge(_ way: Way, _ count: Int, _ sawReset: Bool) -> String? {
        switch end {
        case .finish:
            if sawReset { return "a reset that nobody sent, after \(count) bytes" }
            return count == size(way) ? nil : "\(count) of \(size(way)) bytes and then the end"
        case .reset(let by):
            // Towards the one that resets anything may be missing; it is gone.
            if way != by { return nil }
            return sawReset ? nil : "the reset arrived as an end, after \(count) bytes"
        }
    }

    /// True when the other side was gone before everything was sent.
    private func send(_ socket: TCPSocket, _ way: Way) throws -> Bool {
        var dice = Dice(seed: seed ^ (way == .upstream ? 3 : 4) << 41)
        let largest = [1_000, 10_000, 100_000][dice.below(3)]
        var sent = 0
        do {
            while sent < size(way) {
                let piece = min(1 + dice.below(largest), size(way) - sent)
                try socket.send(pattern(way), count: piece - 1, from: sent)
                let last = pattern(way).bytes(1, at: sent + piece - 1)
                if isUrgent && dice.chance(20) { try socket.sendUrgent(last[0]) } else { try socket.send(last) }
                sent += piece
                if dice.chance(5) { usleep(UInt32(dice.below(3_000))) }
            }
            switch end {
            case .finish: try socket.finish()
            case .reset(let by): if by == way { socket.abort() }
            }
            return false
        } catch let failure as SocketFailure where failure.isReset || isGone(failure) {
            return true
        }
    }

    private func receive(_ socket: TCPSocket, _ way: Way) throws -> (count: Int, end: StreamEnd) {
        var dice = Dice(seed: seed ^ (way == .upstream ? 5 : 6) << 42)
        let isSlow = dice.chance(30)
        var count = 0
        do {
            while true {
                let bytes = try socket.receive(atMost: 1 + dice.below(isSlow ? 50_000 : 200_000))
                if bytes.isEmpty { return (count, .fin) }
                if let place = bytes.withUnsafeBytes({ pattern(way).firstDifference($0, at: count) }) {
                    throw Mismatch(position: place)
                }
                count += bytes.count
                if isSlow && dice.chance(10) { usleep(UInt32(dice.below(5_000))) }
            }
        } catch let failure as SocketFailure where failure.isReset || isGone(failure) {
            return (count, .reset)
        }
    }

    /// Our own end was reset by our own other thread.
    private func isGone(_ failure: SocketFailure) -> Bool {
        if case .reset = end { return failure.code == ENOTCONN }
        return false
    }
}
