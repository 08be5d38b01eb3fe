internal import Addressing

/// The number of a connection: counts up from 1 over the life of the daemon and is never used twice. Printed, and
/// written in JSON, as lower-case hexadecimal without prefix or leading zeros.
public struct ConnectionID: Sendable, Hashable, Comparable, Codable, CustomStringConvertible {
    public var value: UInt64

    public init(_ value: UInt64) {
        self.value = value
    }

    /// Reads 1 to 16 hexadecimal digits of either case; nil for anything else.
    public init?(_ text: String) {
        guard text.utf8.allSatisfy({ $0 != UInt8(ascii: "+") && $0 != UInt8(ascii: "-") }),
            let value = UInt64(text, radix: 16)
        else { return nil }
        self.value = value
    }

    public var description: String { String(value, radix: 16) }

    public static func < (left: ConnectionID, right: ConnectionID) -> Bool { left.value < right.value }

    public init(from decoder: any Decoder) throws {
        let container = try decoder.singleValueContainer()
        let text = try container.decode(String.self)
        guard let id = ConnectionID(text) else {
            throw DecodingError.dataCorruptedError(
                in: container, debugDescription: "not a connection's number in hexadecimal: \(text)")
        }
        self = id
    }

    public func encode(to encoder: any Encoder) throws {
        var container = encoder.singleValueContainer()
        try container.encode(description)
    }
}

/// The full name of a backend, written `service/backend`.
public struct BackendName: Sendable, Hashable, CustomStringConvertible {
    public var service: String
    public var backend: String

    public init(service: String, backend: String) {
        self.service = service
        self.backend = backend
    }

    public var description: String { service + "/" + backend }
}
