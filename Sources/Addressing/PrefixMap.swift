/// Numbers by network: of all networks that an address lies in, the longest counts.
///
/// The networks are laid flat: for each family one sorted array of addresses at which the answer changes, and one of the
/// answers from there on. Immutable, without references between entries; a lookup is one binary search and allocates
/// nothing. Any thread may use it, and a copy shares the storage.
public struct PrefixMap: Sendable, Equatable {
    private let starts4: [UInt32]
    private let answers4: [UInt32]
    private let starts6: [UInt128]
    private let answers6: [UInt32]

    /// Stands for "no network".
    private static let nothing = UInt32.max

    /// - Parameter entries: in any order; numbers are below 2^32 − 1. Bits past a network's length play no part. Of a network
    ///   that comes twice the higher number counts.
    public init(_ entries: some Sequence<(network: Prefix, number: UInt32)>) {
        var small: [Span<UInt32>] = []
        var large: [Span<UInt128>] = []
        for (network, number) in entries {
            let address = network.address.masked(to: network.length)
            switch address.family {
            case .v4:
                let start = UInt32(truncatingIfNeeded: address.low)
                let rest: UInt32 = network.length == 32 ? 0 : .max >> UInt32(network.length)
                small.append(Span(start: start, last: start | rest, number: number))
            case .v6:
                let start = address.bits
                let rest: UInt128 = network.length == 128 ? 0 : .max >> UInt128(network.length)
                large.append(Span(start: start, last: start | rest, number: number))
            // No network has users in it.
            case .user: break
            }
        }
        (starts4, answers4) = PrefixMap.flatten(&small)
        (starts6, answers6) = PrefixMap.flatten(&large)
    }

    /// The number of the longest network that an address lies in; nil: it lies in none. An IPv4 address in IPv6
    /// (``IPAddress/unmapped``) is not looked through.
    public func number(of address: IPAddress) -> UInt32? {
        let answer =
            switch address.family {
            case .v4: PrefixMap.answer(UInt32(truncatingIfNeeded: address.low), starts4, answers4)
            case .v6: PrefixMap.answer(address.bits, starts6, answers6)
            case .user: PrefixMap.nothing
            }
        return answer == PrefixMap.nothing ? nil : answer
    }

    /// A network from its first address to its last.
    private struct Span<Word: UnsignedInteger & FixedWidthInteger> {
        var start: Word
        var last: Word
        var number: UInt32
    }

    /// Networks lie inside each other or apart, never across: so those that are open at a point are a stack, and the
    /// innermost, on its top, is the longest.
    private static func flatten<Word: UnsignedInteger & FixedWidthInteger>(
        _ spans: inout [Span<Word>]
    ) -> ([Word], [UInt32]) {
        spans.sort { one, other in
            if one.start != other.start { return one.start < other.start }
            return one.last != other.last ? one.last > other.last : one.number < other.number
        }
        var starts: [Word] = [0]
        var answers = [nothing]
        var open: [Span<Word>] = []
        func put(_ start: Word, _ answer: UInt32) {
            if starts[starts.count - 1] == start {
                answers[answers.count - 1] = answer
            } else if answers[answers.count - 1] != answer {
                starts.append(start)
                answers.append(answer)
            }
        }
        func close(before start: Word?) {
            while let top = open.last, start.map({ top.last < $0 }) ?? true {
                open.removeLast()
                if top.last < .max { put(top.last + 1, open.last?.number ?? nothing) }
            }
        }
        for span in spans {
            close(before: span.start)
            put(span.start, span.number)
            open.append(span)
        }
        close(before: nil)
        return (starts, answers)
    }

    private static func answer<Word: UnsignedInteger & FixedWidthInteger>(
        _ address: Word, _ starts: [Word], _ answers: [UInt32]
    ) -> UInt32 {
        var low = 0
        var high = starts.count
        // The first is 0, so there is always one that does not lie behind the address.
        while high - low > 1 {
            let middle = (low + high) / 2
            if starts[middle] <= address { low = middle } else { high = middle }
        }
        return answers[low]
    }
}

extension IPAddress {
    fileprivate var bits: UInt128 { UInt128(high) << 64 | UInt128(low) }
}
