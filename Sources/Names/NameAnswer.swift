public import Addressing

/// What came of a question. Plain value.
public struct NameAnswer: Sendable, Equatable {
    /// What came of the part of it that concerns one type of records.
    public enum Part<Record: Sendable & Equatable>: Sendable, Equatable {
        /// Sorted, each once.
        /// - Parameter ttl: seconds for which it counts.
        case found([Record], ttl: UInt32)
        /// The servers are sure that there is nothing.
        case nothing(Absence)
        /// Nobody knows: no server has answered, or none in a way that can be used. The end of a sentence.
        case failed(String)

        public var records: [Record] { if case .found(let records, _) = self { records } else { [] } }
    }

    /// Of what kind nothing is.
    public enum Absence: Sendable, Equatable {
        /// There is no such name (NXDOMAIN).
        case noName
        /// The name is there and has no such records.
        case noRecords
    }

    /// Nobody has more of one name: what comes after so many, in their order, is left out.
    public static let mostRecords = 1000

    public var v4: Part<IPAddress>
    public var v6: Part<IPAddress>
    public var services: Part<ServiceRecord>
    /// Records that were left out because there were too many, or because they were none that could be used.
    public var leftOut = 0

    public init(
        v4: Part<IPAddress> = .nothing(.noRecords), v6: Part<IPAddress> = .nothing(.noRecords),
        services: Part<ServiceRecord> = .nothing(.noRecords), leftOut: Int = 0
    ) {
        self.v4 = v4
        self.v6 = v6
        self.services = services
        self.leftOut = leftOut
    }

    /// Nothing could be asked, for a reason of this machine's.
    public init(failed text: String) {
        self.init(v4: .failed(text), v6: .failed(text), services: .failed(text))
    }

    /// Records in order, each once and no more than ``mostRecords``, and how many are missing for that.
    static func tidy<Record: Hashable & Comparable>(_ records: [Record]) -> (records: [Record], leftOut: Int) {
        let sorted = Set(records).sorted()
        return (Array(sorted.prefix(mostRecords)), max(0, sorted.count - mostRecords))
    }
}
