import Backends
import Control
import FoundationEssentials

/// What operators have set, as the text of a file that a restart reads: `intent.json` in the state directory.
///
/// JSON, because a text that was cut short anywhere is no JSON any more, while a list of TOML tables may lose its end
/// unnoticed; and because the program reads and writes JSON anyway. One line for each backend about which something is
/// set, so that people can read it too:
///
///     {"format":1,"backends":[
///     {"service":"chat","backend":"ws1","intent":"drain","intent_since":"2026-11-23T11:42:22.017Z"}
///     ]}
///
/// A reader takes all of it or nothing: a field that it does not know may change what the others mean.
enum IntentFile {
    /// Grows when a field comes, goes or changes its meaning.
    static let format = 1
    /// Bytes that a file may have: more than the largest one that ``text(of:)`` writes.
    static let limit = 8 << 20

    /// - Parameter intents: those that are empty are left out.
    static func text(of intents: [NamedIntent]) -> [UInt8] {
        // Every string in it is a name, a word of ours or a time: nothing needs escaping.
        let lines = intents.filter { !$0.set.isEmpty }.map { entry in
            var fields = [#""service":"\#(entry.service)""#, #""backend":"\#(entry.backend)""#]
            if entry.set.intent != .ready {
                fields.append(#""intent":"\#(entry.set.intent.word)""#)
                fields.append(#""intent_since":"\#(Timestamp(nanoseconds: entry.set.intentSince))""#)
                if let closesAt = entry.set.closesAt {
                    fields.append(#""closes_at":"\#(Timestamp(nanoseconds: closesAt))""#)
                }
            }
            if let weight = entry.set.weight {
                fields.append(#""weight":\#(weight.value)"#)
                fields.append(#""weight_configured":\#(weight.base)"#)
                fields.append(#""weight_since":"\#(Timestamp(nanoseconds: weight.since))""#)
            }
            return "{" + fields.joined(separator: ",") + "}"
        }
        return Array((#"{"format":\#(format),"backends":["# + "\n" + lines.joined(separator: ",\n") + "\n]}\n").utf8)
    }

    /// - Throws: where any of it is not as ``text(of:)`` writes it; what is said goes after the name of the file.
    static func read(_ bytes: [UInt8]) throws(IntentFileError) -> [NamedIntent] {
        guard bytes.count <= limit else { throw IntentFileError("is larger than \(limit >> 20) MiB") }
        let data = Data(bytes)
        do {
            let found = try JSONDecoder().decode(FormatField.self, from: data).format
            guard found == format else {
                throw IntentFileError("is of format \(found); this version of limpetd reads format \(format)")
            }
            let entries = try JSONDecoder().decode(Document.self, from: data).backends
            var names: Set<String> = []
            for entry in entries {
                let name = "\(entry.named.service)/\(entry.named.backend)"
                guard names.insert(name).inserted else { throw IntentFileError("names \(name) twice") }
            }
            return entries.map(\.named)
        } catch let error as IntentFileError {
            throw error
        } catch let error as DecodingError {
            throw IntentFileError(describe(error))
        } catch {
            throw IntentFileError("is not JSON, or was cut short")
        }
    }

    private static func describe(_ error: DecodingError) -> String {
        switch error {
        case .keyNotFound(let key, let context): "lacks \(place(context, key))"
        case .typeMismatch(_, let context), .valueNotFound(_, let context):
            "has a wrong type at \(place(context, nil))"
        case .dataCorrupted(let context) where !context.codingPath.isEmpty:
            "is wrong at \(place(context, nil)): \(context.debugDescription)"
        case .dataCorrupted: "is not JSON, or was cut short"
        @unknown default: "is not JSON, or was cut short"
        }
    }

    /// As in `backends[3].weight`.
    private static func place(_ context: DecodingError.Context, _ key: (any CodingKey)?) -> String {
        let path = (context.codingPath + (key.map { [$0] } ?? [])).map { part in
            part.intValue.map { "[\($0)]" } ?? ".\(part.stringValue)"
        }.joined()
        return path.isEmpty ? "its top" : String(path.drop { $0 == "." })
    }
}

/// Why a file was not taken.
struct IntentFileError: Error, Equatable, CustomStringConvertible {
    /// The end of a sentence that begins with the name of the file. One line, whatever stands in the file.
    let description: String

    init(_ description: String) {
        self.description = String(
            description.map { $0.unicodeScalars.contains { $0.properties.generalCategory == .control } ? "?" : $0 })
    }
}

private struct FormatField: Decodable {
    var format: Int
}

private struct Document: Decodable {
    var backends: [Entry]

    enum Keys: String, CodingKey, CaseIterable {
        case format, backends
    }

    init(from decoder: any Decoder) throws {
        try refuseOtherFields(decoder, Keys.self)
        backends = try decoder.container(keyedBy: Keys.self).decode([Entry].self, forKey: .backends)
    }
}

private struct Entry: Decodable {
    var named: NamedIntent

    enum Keys: String, CodingKey, CaseIterable {
        case service, backend, intent, weight
        case intentSince = "intent_since"
        case closesAt = "closes_at"
        case weightConfigured = "weight_configured"
        case weightSince = "weight_since"
    }

    init(from decoder: any Decoder) throws {
        try refuseOtherFields(decoder, Keys.self)
        let fields = try decoder.container(keyedBy: Keys.self)
        var set = OperatorIntent()
        if fields.contains(.intent) {
            let word = try fields.decode(String.self, forKey: .intent)
            guard let intent = Intent.allCases.first(where: { $0.word == word }), intent != .ready else {
                throw Entry.wrong(fields, .intent, "\"\(word)\" is not drain or maintenance")
            }
            set.intent = intent
            set.intentSince = try fields.decode(Timestamp.self, forKey: .intentSince).nanoseconds
            set.closesAt = try fields.decodeIfPresent(Timestamp.self, forKey: .closesAt)?.nanoseconds
        } else if let stray = [Keys.intentSince, .closesAt].first(where: fields.contains) {
            throw Entry.wrong(fields, stray, "it stands without an intent")
        }
        if fields.contains(.weight) {
            set.weight = OperatorWeight(
                value: try Entry.weight(fields, .weight), base: try Entry.weight(fields, .weightConfigured),
                since: try fields.decode(Timestamp.self, forKey: .weightSince).nanoseconds)
        } else if let stray = [Keys.weightConfigured, .weightSince].first(where: fields.contains) {
            throw Entry.wrong(fields, stray, "it stands without a weight")
        }
        named = NamedIntent(
            service: try Entry.name(fields, .service), backend: try Entry.name(fields, .backend), set: set)
    }

    private static func name(_ fields: KeyedDecodingContainer<Keys>, _ key: Keys) throws -> String {
        let name = try fields.decode(String.self, forKey: key)
        guard Name.isValid(name) else { throw wrong(fields, key, "it is not a name") }
        return name
    }

    private static func weight(_ fields: KeyedDecodingContainer<Keys>, _ key: Keys) throws -> Int {
        let weight = try fields.decode(Int.self, forKey: key)
        guard WeightText.range.contains(weight) else { throw wrong(fields, key, "\(weight) is not from 1 to 256") }
        return weight
    }

    private static func wrong(_ fields: KeyedDecodingContainer<Keys>, _ key: Keys, _ what: String) -> DecodingError {
        DecodingError.dataCorruptedError(forKey: key, in: fields, debugDescription: what)
    }
}

private struct AnyKey: CodingKey {
    var stringValue: String
    var intValue: Int? { nil }
    init?(stringValue: String) { self.stringValue = stringValue }
    init?(intValue: Int) { nil }
}

private func refuseOtherFields<Keys: CodingKey & CaseIterable>(_ decoder: any Decoder, _: Keys.Type) throws {
    let known = Set(Keys.allCases.map(\.stringValue))
    for key in try decoder.container(keyedBy: AnyKey.self).allKeys where !known.contains(key.stringValue) {
        throw IntentFileError("has a field that this version of limpetd does not know: \"\(key.stringValue)\"")
    }
}
