internal import Backends
internal import FoundationEssentials
internal import NIOCore
internal import NIOFoundationEssentialsCompat
internal import NIOHTTP1

/// One request, taken apart.
struct Request {
    var method: HTTPMethod
    /// Percent-decoded, without the empty one before the first slash.
    var path: [String]
    /// In the order of the query, percent-decoded.
    var query: [(name: String, value: String)]
    var body: ByteBuffer

    /// Takes the target of a request apart; absolute and origin form alike (RFC 9112 section 3.2).
    init(method: HTTPMethod, target: String, body: ByteBuffer) throws(ControlError) {
        self.method = method
        self.body = body
        var rest = Substring(target)
        for scheme in ["http://", "https://"] where rest.hasPrefix(scheme) {
            rest = rest.dropFirst(scheme.count)
            rest = rest.firstIndex(of: "/").map { rest[$0...] } ?? "/"
        }
        let parts = rest.split(separator: "?", maxSplits: 1, omittingEmptySubsequences: false)
        path = []
        for segment in parts[0].split(separator: "/", omittingEmptySubsequences: true) {
            path.append(try Request.decoded(segment))
        }
        query = []
        for pair in (parts.count > 1 ? parts[1] : "").split(separator: "&") {
            let sides = pair.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
            query.append((try Request.decoded(sides[0]), sides.count > 1 ? try Request.decoded(sides[1]) : ""))
        }
    }

    /// Fails on a parameter that the path does not take.
    func allow(_ names: [String]) throws(ControlError) {
        for (name, _) in query where !names.contains(name) {
            throw ControlError(
                .badRequest, "unknown query parameter \"\(name)\"", suggestion: suggestion(for: name, among: names))
        }
    }

    /// The value of a parameter that may be given once; nil where it is not.
    func value(_ name: String) throws(ControlError) -> String? {
        let values = query.filter { $0.name == name }
        guard values.count <= 1 else { throw ControlError(.badRequest, "\(name) is given twice") }
        return values.first?.value
    }

    /// A duration that may be given once; nil where it is not.
    func duration(_ name: String) throws(ControlError) -> Duration? {
        guard let text = try value(name) else { return nil }
        guard let duration = DurationText.parse(text) else {
            throw ControlError(.badRequest, "\(name): \"\(text)\" is not a duration such as 500ms, 5s, 10m, 2h or 3d")
        }
        return duration
    }

    /// The choice that a word stands for.
    /// - Parameter name: what the word was given for.
    static func choice<Choice: RawRepresentable<String>>(
        _ name: String, _ text: String, among choices: [Choice]
    ) throws(ControlError) -> Choice {
        if let choice = Choice(rawValue: text) { return choice }
        let words = choices.map(\.rawValue)
        throw ControlError(
            .badRequest, "\(name): \"\(text)\" is not one of \(words.joined(separator: ", "))",
            suggestion: suggestion(for: text, among: words))
    }

    /// What a parameter that is yes or no says.
    func choice(_ name: String, _ text: String) throws(ControlError) -> Bool {
        guard text == "yes" || text == "no" else {
            throw ControlError(.badRequest, "\(name): \"\(text)\" is not yes or no")
        }
        return text == "yes"
    }

    /// The body as JSON; an empty body counts as `{}`.
    func json<Body: Decodable, Keys: CodingKey & CaseIterable>(
        _: Body.Type, fields: Keys.Type
    ) throws(ControlError) -> Body {
        let names = fields.allCases.map(\.stringValue)
        let data = body.readableBytes == 0 ? Data("{}".utf8) : Data(body.readableBytesView)
        do {
            for given in try JSONDecoder().decode(FieldNames.self, from: data).names where !names.contains(given) {
                throw ControlError(
                    .badRequest, "unknown field \"\(given)\"", suggestion: suggestion(for: given, among: names))
            }
            return try JSONDecoder().decode(Body.self, from: data)
        } catch let error as ControlError {
            throw error
        } catch let error as DecodingError {
            throw ControlError(.badRequest, "body: " + Request.describe(error))
        } catch {
            throw ControlError(.badRequest, "body: not JSON")
        }
    }

    private static func describe(_ error: DecodingError) -> String {
        switch error {
        case .keyNotFound(let key, _): "\"\(key.stringValue)\" is missing"
        case .typeMismatch(_, let context), .valueNotFound(_, let context):
            context.codingPath.isEmpty
                ? "an object is wanted"
                : "\"\(context.codingPath.map(\.stringValue).joined(separator: "."))\" has the wrong type"
        case .dataCorrupted(let context) where !context.codingPath.isEmpty: context.debugDescription
        case .dataCorrupted: "not JSON"
        @unknown default: "not JSON"
        }
    }

    private static func decoded(_ text: Substring) throws(ControlError) -> String {
        var bytes: [UInt8] = []
        var rest = text.utf8[...]
        while let byte = rest.popFirst() {
            guard byte == UInt8(ascii: "%") else {
                bytes.append(byte)
                continue
            }
            guard let high = rest.popFirst().flatMap(Request.hexadecimal),
                let low = rest.popFirst().flatMap(Request.hexadecimal)
            else { throw ControlError(.badRequest, "\"\(text)\": a % without two hexadecimal digits") }
            bytes.append(high << 4 | low)
        }
        guard let decoded = String(validating: bytes, as: UTF8.self) else {
            throw ControlError(.badRequest, "\"\(text)\" is not UTF-8")
        }
        return decoded
    }

    private static func hexadecimal(_ byte: UInt8) -> UInt8? {
        switch byte {
        case 0x30...0x39: byte - 0x30
        case 0x41...0x46: byte - 0x41 + 10
        case 0x61...0x66: byte - 0x61 + 10
        default: nil
        }
    }
}

/// The names of an object's fields, whatever their values.
private struct FieldNames: Decodable {
    var names: [String]

    private struct Key: CodingKey {
        var stringValue: String
        var intValue: Int? { nil }
        init?(stringValue: String) { self.stringValue = stringValue }
        init?(intValue: Int) { nil }
    }

    init(from decoder: any Decoder) throws {
        names = try decoder.container(keyedBy: Key.self).allKeys.map(\.stringValue)
    }
}
