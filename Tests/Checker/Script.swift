/// How much there is of what, the same for both sides.
struct Plan: Sendable {
    /// Connections that stay until the end: questions and answers; bytes both ways at a given speed; a reader that is
    /// slower than its sender.
    var talk = 0
    var bulk = 0
    var slow = 0
    /// Bytes per second and direction of a `bulk` connection.
    var bulkRate = 4 << 20
    var seed: UInt64 = 1
    var proxy = ProxyForm.none
    /// What clients begin with, as a proxy before the daemon would.
    var header = ProxyForm.none
    /// Some ends are Unix sockets, which know no reset: where one side resets, the other may see an end.
    var hasUnixSockets = false

    var standing: Int { talk + bulk + slow }
}

/// What both ends of one connection do. All of it follows from the connection's number and the seed, so each end knows
/// what the other is up to without being told.
struct Script {
    enum Kind {
        case talk, bulk, slow
        /// Comes, exchanges something and goes.
        case churn
    }

    enum Ending: CaseIterable {
        /// The client finishes; the backend answers after that, and finishes.
        case clientFirst
        /// The backend says all it has and finishes; then the client says the rest.
        case backendFirst
        /// Neither waits for the other.
        case together
        /// Once everything has arrived on both sides, this one resets.
        case clientResets, backendResets
        /// Resets in the middle of it all.
        case clientAborts, backendAborts
        /// The client finishes, or resets, without a word.
        case emptyFinish, emptyReset
    }

    let kind: Kind
    let ending: Ending
    /// Bytes of the client and of the backend, where the kind is churn.
    let up: UInt64
    let down: UInt64
    /// What the client says of `up` before it waits for anything.
    let early: UInt64
    /// Bytes of a question and of its answer.
    let message: UInt64
    /// log2 of the bytes of the pattern's cells.
    let shift: UInt8
    let isUrgent: Bool
    /// The side that reads slowly: 0 client, 1 backend; nil: neither.
    let slowSide: Int?

    init(_ plan: Plan, _ number: UInt32) {
        var dice = Dice(plan.seed << 32 ^ UInt64(number))
        let position = Int(number)
        kind =
            position < plan.talk
            ? .talk : position < plan.talk + plan.bulk ? .bulk : position < plan.standing ? .slow : .churn
        isUrgent = dice.chance(10)
        if kind == .churn {
            let roll = dice.below(100)
            ending =
                switch roll {
                case ..<24: .clientFirst
                case ..<42: .backendFirst
                case ..<58: .together
                case ..<68: .clientResets
                case ..<78: .backendResets
                case ..<86: .clientAborts
                case ..<94: .backendAborts
                case ..<97: .emptyFinish
                default: .emptyReset
                }
            early = 64
            up = early + Script.size(&dice)
            down = Script.size(&dice)
            slowSide = dice.chance(25) ? dice.below(2) : nil
        } else {
            // Few of them reset: what is on its way then cannot be held against anybody.
            ending =
                [
                    .clientFirst, .backendFirst, .together, .clientFirst, .backendFirst, .together,
                    dice.chance(50) ? .clientAborts : .backendAborts,
                ][dice.below(7)]
            (early, up, down) = (0, 0, 0)
            slowSide = kind == .slow ? position & 1 : nil
        }
        message = UInt64([64, 64, 64, 192, 1024, 8192][dice.below(6)])
        shift = kind == .talk ? 6 : [6, 9, 12][dice.below(3)]
    }

    /// Sizes at which a forwarder changes its ways: little, a packet, a scratch buffer, a pipe, more.
    private static func size(_ dice: inout Dice) -> UInt64 {
        let largest = [64, 1_500, 1_500, 20_000, 70_000, 400_000][dice.below(6)]
        return UInt64(1 + dice.below(largest))
    }

    /// The side that resets, if one does: 0 client, 1 backend.
    var resetter: Int? {
        switch ending {
        case .clientResets, .clientAborts, .emptyReset: 0
        case .backendResets, .backendAborts: 1
        default: nil
        }
    }

    /// Whether the backend is never told whose connection it has.
    var isAnonymous: Bool { ending == .emptyFinish || ending == .emptyReset }
}

/// A random sequence that its seed determines.
struct Dice {
    private var state: UInt64

    init(_ seed: UInt64) { state = StreamPattern.mixed(seed) }

    mutating func below(_ bound: Int) -> Int {
        state = StreamPattern.mixed(state)
        return Int(state % UInt64(bound))
    }

    mutating func chance(_ percent: Int) -> Bool { below(100) < percent }
}
