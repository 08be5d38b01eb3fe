/// A regular expression that is searched for in what a server says. Pure data; any thread may hold a copy.
///
/// It takes time in proportion to the bytes times the length of the pattern, whatever both are: all ways to match are
/// followed at once (K. Thompson, Regular Expression Search Algorithm, CACM 11(6), 1968), so nobody who chooses the bytes
/// can hold the searcher up. Hence no back-references. It works on bytes; a letter beyond ASCII is a sequence of them.
public struct Pattern: Sendable, Equatable, CustomStringConvertible {
    /// As it was written.
    public let description: String
    private let program: [Step]

    /// Why a text is no pattern; ends a sentence.
    public struct SyntaxError: Error, Equatable {
        public let reason: String
    }

    /// Steps of the longest program: `{m,n}` multiplies what it follows.
    static let longest = 1000

    fileprivate enum Step: Sendable, Equatable {
        case byte(ByteSet)
        /// Both ways are open.
        case split(Int, Int)
        case jump(Int)
        case start, end
        case matched
    }

    fileprivate struct ByteSet: Sendable, Equatable {
        var words: (UInt64, UInt64, UInt64, UInt64) = (0, 0, 0, 0)

        static func == (left: ByteSet, right: ByteSet) -> Bool { left.words == right.words }

        func contains(_ byte: UInt8) -> Bool {
            let bit: UInt64 = 1 << UInt64(byte & 63)
            switch byte >> 6 {
            case 0: return words.0 & bit != 0
            case 1: return words.1 & bit != 0
            case 2: return words.2 & bit != 0
            default: return words.3 & bit != 0
            }
        }

        mutating func insert(_ byte: UInt8) {
            let bit: UInt64 = 1 << UInt64(byte & 63)
            switch byte >> 6 {
            case 0: words.0 |= bit
            case 1: words.1 |= bit
            case 2: words.2 |= bit
            default: words.3 |= bit
            }
        }

        mutating func formUnion(_ other: ByteSet) {
            words = (
                words.0 | other.words.0, words.1 | other.words.1, words.2 | other.words.2, words.3 | other.words.3
            )
        }

        var inverted: ByteSet { ByteSet(words: (~words.0, ~words.1, ~words.2, ~words.3)) }
    }

    /// `^` is the beginning of all that comes, `$` its end. Takes `.`, `[a-z]`, `[^…]`, `\d \w \s` and their capitals, `\r \n \t`, `^ $`, `( )`, `|`, `* + ?` and `{m}`, `{m,}`,
    /// `{m,n}`.
    public init(_ text: String) throws(SyntaxError) {
        var parser = Parser(bytes: Array(text.utf8))
        let tree = try parser.whole()
        var program: [Step] = []
        try Pattern.compile(tree, into: &program)
        program.append(.matched)
        description = text
        self.program = program
    }

    /// A search through bytes that come bit by bit; nothing of them is kept.
    public struct Search: Sendable {
        private let program: [Step]
        /// Steps that wait for the next byte, or for the end.
        private var waiting: [Int] = []
        private var next: [Int] = []
        /// By step: the position at which it was entered last.
        private var entered: [Int]
        private var pending: [Int] = []
        private var position = 0
        /// Whether some part of what has come matches.
        public private(set) var isFound = false

        fileprivate init(_ program: [Step]) {
            self.program = program
            entered = [Int](repeating: -1, count: program.count)
            enter(0)
            swap(&waiting, &next)
        }

        /// The next bytes have come.
        public mutating func feed(_ bytes: some Sequence<UInt8>) {
            for byte in bytes {
                if isFound { return }
                position += 1
                next.removeAll(keepingCapacity: true)
                for step in waiting {
                    if case .byte(let set) = program[step], set.contains(byte) { enter(step + 1) }
                }
                // A match may begin anywhere.
                enter(0)
                swap(&waiting, &next)
            }
        }

        /// Nothing more comes.
        public mutating func end() {
            position += 1
            for step in waiting where program[step] == .end { enter(step + 1, isEnd: true) }
        }

        /// Goes on from a step to all that wait for a byte.
        private mutating func enter(_ step: Int, isEnd: Bool = false) {
            pending.append(step)
            while let step = pending.popLast() {
                guard entered[step] != position else { continue }
                entered[step] = position
                switch program[step] {
                case .byte: next.append(step)
                case .split(let one, let other):
                    pending.append(other)
                    pending.append(one)
                case .jump(let target): pending.append(target)
                case .start: if position == 0 { pending.append(step + 1) }
                case .end: if isEnd { pending.append(step + 1) } else { next.append(step) }
                case .matched: isFound = true
                }
            }
        }
    }

    /// A search that has seen nothing yet.
    public func search() -> Search { Search(program) }

    // MARK: Compiling

    fileprivate indirect enum Tree {
        case empty
        case byte(ByteSet)
        case start, end
        case sequence([Tree])
        case either([Tree])
        /// nil: without end.
        case times(Tree, Int, Int?)
    }

    private static func compile(_ tree: Tree, into program: inout [Step]) throws(SyntaxError) {
        guard program.count < longest else {
            throw SyntaxError(reason: "is too long once its repetitions are written out")
        }
        switch tree {
        case .empty: break
        case .byte(let set): program.append(.byte(set))
        case .start: program.append(.start)
        case .end: program.append(.end)
        case .sequence(let parts): for part in parts { try compile(part, into: &program) }
        case .either(let branches):
            var jumps: [Int] = []
            for (index, branch) in branches.enumerated() {
                guard index < branches.count - 1 else {
                    try compile(branch, into: &program)
                    break
                }
                let split = program.count
                program.append(.split(split + 1, 0))
                try compile(branch, into: &program)
                jumps.append(program.count)
                program.append(.jump(0))
                program[split] = .split(split + 1, program.count)
            }
            for jump in jumps { program[jump] = .jump(program.count) }
        case .times(let part, let least, let most):
            for _ in 0..<least {
                let before = program.count
                try compile(part, into: &program)
                // Nothing, however often.
                if program.count == before { return }
            }
            guard let most else {
                let split = program.count
                program.append(.split(split + 1, 0))
                try compile(part, into: &program)
                program.append(.jump(split))
                program[split] = .split(split + 1, program.count)
                return
            }
            var splits: [Int] = []
            for _ in least..<most {
                splits.append(program.count)
                program.append(.split(program.count + 1, 0))
                try compile(part, into: &program)
            }
            for split in splits { program[split] = .split(split + 1, program.count) }
        }
    }

    // MARK: Parsing

    private struct Parser {
        let bytes: [UInt8]
        var position = 0
        var depth = 0

        private var next: UInt8? { position < bytes.count ? bytes[position] : nil }

        private mutating func take(_ character: Character) -> Bool {
            guard next == character.asciiValue else { return false }
            position += 1
            return true
        }

        mutating func whole() throws(SyntaxError) -> Tree {
            let tree = try either()
            if next != nil { throw SyntaxError(reason: "has a \")\" without a \"(\"") }
            return tree
        }

        private mutating func either() throws(SyntaxError) -> Tree {
            var branches = [try sequence()]
            while take("|") { branches.append(try sequence()) }
            return branches.count == 1 ? branches[0] : .either(branches)
        }

        private mutating func sequence() throws(SyntaxError) -> Tree {
            var parts: [Tree] = []
            while let byte = next, byte != UInt8(ascii: "|"), byte != UInt8(ascii: ")") {
                parts.append(try repeated())
            }
            return parts.isEmpty ? .empty : .sequence(parts)
        }

        private mutating func repeated() throws(SyntaxError) -> Tree {
            var tree = try single()
            var isRepeated = false
            while true {
                let counts: (Int, Int?)
                if take("*") {
                    counts = (0, nil)
                } else if take("+") {
                    counts = (1, nil)
                } else if take("?") {
                    counts = (0, 1)
                } else if take("{") {
                    counts = try braces()
                } else {
                    return tree
                }
                if isRepeated { throw SyntaxError(reason: "repeats a repetition: put the first into ( )") }
                isRepeated = true
                tree = .times(tree, counts.0, counts.1)
            }
        }

        private mutating func braces() throws(SyntaxError) -> (Int, Int?) {
            let wrong = SyntaxError(reason: "has a \"{\" that does not begin {m}, {m,} or {m,n} with m <= n <= 1000")
            guard let least = number() else { throw wrong }
            var most: Int? = least
            if take(",") { most = next == UInt8(ascii: "}") ? nil : number() ?? -1 }
            guard take("}"), most.map({ $0 >= least }) ?? true else { throw wrong }
            return (least, most)
        }

        private mutating func number() -> Int? {
            var value: Int?
            while let byte = next, (0x30...0x39).contains(byte) {
                value = (value ?? 0) * 10 + Int(byte - 0x30)
                if value! > 1000 { return nil }
                position += 1
            }
            return value
        }

        private mutating func single() throws(SyntaxError) -> Tree {
            guard let byte = next else { return .empty }
            position += 1
            switch byte {
            case UInt8(ascii: "."): return .byte(Parser.of([0x0a]).inverted)
            case UInt8(ascii: "^"): return .start
            case UInt8(ascii: "$"): return .end
            case UInt8(ascii: "["): return .byte(try set())
            case UInt8(ascii: "\\"): return .byte(try escaped())
            case UInt8(ascii: "("):
                depth += 1
                guard depth <= 50 else { throw SyntaxError(reason: "has more than 50 \"(\" within each other") }
                let tree = try either()
                depth -= 1
                guard take(")") else { throw SyntaxError(reason: "has a \"(\" without a \")\"") }
                return tree
            case UInt8(ascii: "*"), UInt8(ascii: "+"), UInt8(ascii: "?"), UInt8(ascii: "{"):
                throw SyntaxError(
                    reason: "has a \"\(Character(UnicodeScalar(byte)))\" with nothing before it to repeat (\\"
                        + "\(Character(UnicodeScalar(byte))) is the character itself)")
            default: return .byte(Parser.of([byte]))
            }
        }

        private static func of(_ bytes: some Sequence<UInt8>) -> ByteSet {
            var set = ByteSet()
            for byte in bytes { set.insert(byte) }
            return set
        }

        private static let digits = of(0x30...0x39)
        private static let letters: ByteSet = {
            var set = digits
            for byte: UInt8 in 0x41...0x5a { set.insert(byte) }
            for byte: UInt8 in 0x61...0x7a { set.insert(byte) }
            set.insert(UInt8(ascii: "_"))
            return set
        }()
        private static let spaces = of([0x20, 0x09, 0x0a, 0x0b, 0x0c, 0x0d])

        private mutating func escaped() throws(SyntaxError) -> ByteSet {
            guard let byte = next else { throw SyntaxError(reason: "ends with a \"\\\"") }
            position += 1
            switch byte {
            case UInt8(ascii: "d"): return Parser.digits
            case UInt8(ascii: "D"): return Parser.digits.inverted
            case UInt8(ascii: "w"): return Parser.letters
            case UInt8(ascii: "W"): return Parser.letters.inverted
            case UInt8(ascii: "s"): return Parser.spaces
            case UInt8(ascii: "S"): return Parser.spaces.inverted
            case UInt8(ascii: "r"): return Parser.of([0x0d])
            case UInt8(ascii: "n"): return Parser.of([0x0a])
            case UInt8(ascii: "t"): return Parser.of([0x09])
            case _ where Parser.letters.contains(byte) && byte != UInt8(ascii: "_"):
                throw SyntaxError(
                    reason: "has a \"\\\(Character(UnicodeScalar(byte)))\", which has no meaning here")
            default: return Parser.of([byte])
            }
        }

        private mutating func set() throws(SyntaxError) -> ByteSet {
            let open = SyntaxError(reason: "has a \"[\" without a \"]\"")
            let isInverted = take("^")
            var set = ByteSet()
            var isFirst = true
            while true {
                guard let byte = next else { throw open }
                if byte == UInt8(ascii: "]"), !isFirst { break }
                isFirst = false
                position += 1
                if byte == UInt8(ascii: "\\") {
                    set.formUnion(try escaped())
                    continue
                }
                let isRange =
                    next == UInt8(ascii: "-") && position + 1 < bytes.count
                    && bytes[position + 1] != UInt8(ascii: "]")
                guard isRange else {
                    set.insert(byte)
                    continue
                }
                let last = bytes[position + 1]
                guard last >= byte, last != UInt8(ascii: "\\") else {
                    throw SyntaxError(reason: "has a range in [ ] that ends before it begins")
                }
                position += 2
                for member in byte...last { set.insert(member) }
            }
            position += 1
            return isInverted ? set.inverted : set
        }
    }
}
