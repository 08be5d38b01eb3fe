/// Writes samples in the text format of Prometheus, version 0.0.4
/// (https://prometheus.io/docs/instrumenting/exposition_formats/): family by family, each with its HELP and TYPE. A
/// family without samples is left out. Pure; one thread uses one.
public struct MetricsText: Sendable {
    /// What has been written so far.
    public private(set) var text = ""

    public init() {}

    /// Takes the samples of one family.
    public struct Samples {
        fileprivate let family: MetricFamily
        fileprivate var lines = ""

        /// - Parameter labels: values, one for each name of the family.
        public mutating func add(_ labels: [String], _ value: some BinaryInteger) {
            add(family.name, pairs(labels), "\(value)")
        }

        /// The same for a value that need not be whole.
        public mutating func add(_ labels: [String], _ value: Double) {
            add(family.name, pairs(labels), MetricsText.number(value))
        }

        /// 1 or 0.
        public mutating func add(_ labels: [String], _ value: Bool) { add(labels, value ? 1 : 0) }

        public mutating func add(_ labels: [String], _ histogram: MetricHistogram) {
            precondition(family.kind == .histogram)
            let own = pairs(labels)
            var count: UInt64 = 0
            for (bound, inside) in zip(histogram.bounds, histogram.counts) {
                count &+= inside
                add(family.name + "_bucket", own + [("le", MetricsText.number(bound))], "\(count)")
            }
            count &+= histogram.counts[histogram.bounds.count]
            add(family.name + "_bucket", own + [("le", "+Inf")], "\(count)")
            add(family.name + "_sum", own, MetricsText.number(histogram.sum))
            add(family.name + "_count", own, "\(count)")
        }

        /// The one sample of a family without labels.
        public mutating func add(_ value: some BinaryInteger) { add([], value) }
        public mutating func add(_ value: Double) { add([], value) }
        public mutating func add(_ value: Bool) { add([], value) }
        public mutating func add(_ histogram: MetricHistogram) { add([], histogram) }

        private func pairs(_ values: [String]) -> [(String, String)] {
            precondition(values.count == family.labels.count, "\(family.name) takes other labels")
            return Array(zip(family.labels, values))
        }

        private mutating func add(_ name: String, _ labels: [(name: String, value: String)], _ value: String) {
            lines += name
            if !labels.isEmpty {
                lines += "{"
                for (index, label) in labels.enumerated() {
                    if index > 0 { lines += "," }
                    lines += label.name + "=\"" + MetricsText.escaped(label.value, quotes: true) + "\""
                }
                lines += "}"
            }
            lines += " " + value + "\n"
        }
    }

    /// Writes one family. Each is written once, whole.
    public mutating func write(_ family: MetricFamily, _ body: (inout Samples) -> Void) {
        var samples = Samples(family: family)
        body(&samples)
        guard !samples.lines.isEmpty else { return }
        text += "# HELP \(family.name) \(MetricsText.escaped(family.help, quotes: false))\n"
        text += "# TYPE \(family.name) \(family.kind.rawValue)\n"
        text += samples.lines
    }

    /// As the format has it: Go's ParseFloat reads it.
    static func number(_ value: Double) -> String {
        if value.isNaN { return "NaN" }
        if value.isInfinite { return value > 0 ? "+Inf" : "-Inf" }
        if value == value.rounded(), abs(value) < 1e15 { return String(Int64(value)) }
        return value.description
    }

    /// What must not stand in a label's value, or in a help text, as it is.
    static func escaped(_ text: String, quotes: Bool) -> String {
        guard text.utf8.contains(where: { $0 == 0x5c || $0 == 0x0a || $0 == 0x22 }) else { return text }
        var escaped = ""
        for character in text.unicodeScalars {
            switch character {
            case "\\": escaped += "\\\\"
            case "\n": escaped += "\\n"
            case "\"" where quotes: escaped += "\\\""
            default: escaped.unicodeScalars.append(character)
            }
        }
        return escaped
    }
}
