import Foundation
import Testing

/// Metrics as they were read: each series, as it is written, with its value.
struct MetricsDocument {
    let text: String
    /// By series.
    let values: [String: Double]

    init(_ text: String) throws {
        self.text = text
        var values: [String: Double] = [:]
        for line in text.split(separator: "\n") where !line.hasPrefix("#") {
            let parts = try #require(line.lastIndex(of: " "), "no value: \(line)")
            let series = String(line[..<parts])
            #expect(values[series] == nil, "twice: \(series)")
            let value: Double? = Double(line[line.index(after: parts)...])
            #expect(value != nil, "no number: \(line)")
            values[series] = value
        }
        self.values = values
    }

    /// Such as `limpet_backend_up{service="chat",backend="b1"}`; nil: there is no such series.
    subscript(series: String) -> Double? { values[series] }

    /// A series of a backend of the service `default`.
    func of(_ backend: String, _ name: String, _ labels: String = "", service: String = "default") -> Double? {
        let own = "service=\"\(service)\",backend=\"\(backend)\""
        return values["limpet_backend_\(name){\(own)\(labels.isEmpty ? "" : ",")\(labels)}"]
    }
}

extension Ctl {
    func metrics() throws -> MetricsDocument { try MetricsDocument(try expect("metrics")) }
}

/// promtool of Prometheus; nil: it is not installed.
enum Promtool {
    static let path = ["/usr/bin/promtool", "/usr/local/bin/promtool"].first {
        FileManager.default.isExecutableFile(atPath: $0)
    }

    /// What it has to say about metrics: nothing, if they are as they should be.
    static func complaints(about text: String) throws -> String {
        let directory = try temporaryDirectory()
        defer { try? FileManager.default.removeItem(atPath: directory) }
        try text.write(toFile: "\(directory)/metrics", atomically: false, encoding: .utf8)
        let outcome = try run(["/bin/sh", "-c", "\(path ?? "promtool") check metrics <\(directory)/metrics"])
        return outcome.stdout + outcome.stderr + (outcome.status == 0 ? "" : "status \(outcome.status)")
    }
}
