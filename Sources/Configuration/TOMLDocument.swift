import TOMLKit

/// A TOML value as plain data, free of the library that read it.
///
/// The library keeps tables sorted by key and forgets positions, so an order that means something is written as an
/// array. It also hands strings over as C strings: a NUL inside one would cut it short unseen, which is why
/// ``parse(_:)`` refuses every text that could hold one.
enum TOMLNode: Equatable {
    case string(String)
    case integer(Int)
    case boolean(Bool)
    case number(Double)
    case array([TOMLNode])
    case table([String: TOMLNode])
    /// A value of a type that no key takes; what it is, for the error.
    case other(String)

    /// `a string`, `an array`: what stands where something else should.
    var typeDescription: String {
        switch self {
        case .string: "a string"
        case .integer: "an integer"
        case .boolean: "a boolean"
        case .number: "a floating-point number"
        case .array: "an array"
        case .table: "a table"
        case .other(let description): description
        }
    }

    /// Where and why a text is not TOML.
    struct SyntaxError: Error, Equatable {
        /// From 1; nil where the reason concerns the text as a whole.
        var position: (line: Int, column: Int)?
        var reason: String

        static func == (lhs: SyntaxError, rhs: SyntaxError) -> Bool {
            lhs.position?.line == rhs.position?.line && lhs.position?.column == rhs.position?.column
                && lhs.reason == rhs.reason
        }
    }

    /// Reads a whole document.
    static func parse(_ text: String) throws(SyntaxError) -> [String: TOMLNode] {
        if let position = firstNUL(in: text) {
            throw SyntaxError(position: position, reason: "a NUL character, written out or as \\u0000, is not allowed")
        }
        if let position = TOMLHeaders.firstNameless(in: text) {
            throw SyntaxError(position: position, reason: "a name is missing after the \"[\"")
        }
        do {
            return tables(in: try TOMLTable(string: text))
        } catch let error as TOMLParseError {
            let begin = error.source.begin
            throw SyntaxError(position: (begin.line, begin.column), reason: oneLine(error.description))
        } catch {
            throw SyntaxError(position: nil, reason: oneLine("\(error)"))
        }
    }

    private static func tables(in table: TOMLTable) -> [String: TOMLNode] {
        var nodes: [String: TOMLNode] = [:]
        for key in table.keys {
            nodes[key] = table[key].map { node($0.tomlValue) }
        }
        return nodes
    }

    private static func node(_ value: TOMLValue) -> TOMLNode {
        switch value.type {
        case .string: .string(value.string ?? "")
        case .int: .integer(value.int ?? 0)
        case .table: .table(value.table.map(tables(in:)) ?? [:])
        case .array: .array(value.array.map { array in array.map { node($0.tomlValue) } } ?? [])
        case .bool: .boolean(value.bool ?? false)
        case .double: .number(value.double ?? .nan)
        case .date, .time, .dateTime: .other("a date or time")
        }
    }

    /// The place of the first NUL, or of an escape that makes one.
    private static func firstNUL(in text: String) -> (line: Int, column: Int)? {
        let lines = text.unicodeScalars.split(separator: "\n", omittingEmptySubsequences: false)
        for (number, line) in lines.enumerated() {
            for (column, index) in line.indices.enumerated() where line[index] == "\0" || line[index] == "\\" {
                let rest = line[index...]
                if ["\0", "\\u0000", "\\U00000000"].contains(where: { rest.starts(with: $0.unicodeScalars) }) {
                    return (number + 1, column + 1)
                }
            }
        }
        return nil
    }
}
