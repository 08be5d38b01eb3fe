import Foundation

/// The points at which debug builds of the daemon can be made to fail, by their names in inject.h.
enum Injection {
    /// The number of a point, such as `LIMPET_AT_RECEIVED`.
    static func point(_ name: String) throws -> Int {
        let header = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
            .deletingLastPathComponent().deletingLastPathComponent()
            .appendingPathComponent("Sources/CContinuity/include/inject.h")
        let names = try String(contentsOf: header, encoding: .utf8).split(separator: "\n")
            .map { $0.trimmingCharacters(in: .whitespaces) }.filter { $0.hasPrefix("LIMPET_AT_") }
            .map { $0.prefix { $0 != "," && $0 != " " } }
        guard let number = names.firstIndex(where: { $0 == name }) else {
            throw SocketFailure(call: "the point \(name)", code: ENOENT)
        }
        return number
    }
}
