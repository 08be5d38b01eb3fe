/// A value that is always present in JSON: nil is written as `null` instead of being left out, so that a reader finds
/// every field in every object.
@propertyWrapper
public struct Nullable<Wrapped: Codable & Sendable & Equatable>: Codable, Sendable, Equatable {
    public var wrappedValue: Wrapped?

    public init(wrappedValue: Wrapped?) {
        self.wrappedValue = wrappedValue
    }

    public init(from decoder: any Decoder) throws {
        let container = try decoder.singleValueContainer()
        wrappedValue = container.decodeNil() ? nil : try container.decode(Wrapped.self)
    }

    public func encode(to encoder: any Encoder) throws {
        var container = encoder.singleValueContainer()
        if let wrappedValue {
            try container.encode(wrappedValue)
        } else {
            try container.encodeNil()
        }
    }
}

extension KeyedDecodingContainer {
    /// Chosen by the synthesized decoders: a field that a different version of the daemon does not send reads as nil.
    func decode<Wrapped>(_: Nullable<Wrapped>.Type, forKey key: Key) throws -> Nullable<Wrapped> {
        try decodeIfPresent(Nullable<Wrapped>.self, forKey: key) ?? Nullable(wrappedValue: nil)
    }
}
