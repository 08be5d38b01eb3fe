import Testing

@testable import Observability

/// The text format, and the list of all metrics.
@Suite("Metrics text")
struct MetricsTextTests {
    private let gauge = MetricFamily("a_bytes", .gauge, ["x", "y"], "Some \\ help\nin \"two\" lines.")

    private func written(_ family: MetricFamily, _ body: (inout MetricsText.Samples) -> Void) -> String {
        var text = MetricsText()
        text.write(family, body)
        return text.text
    }

    @Test("What would end a label's value or a line is escaped")
    func escapes() {
        let text = written(gauge) { $0.add(["a\"b\\c\nd", "ü"], 1) }
        #expect(
            text == #"""
                # HELP a_bytes Some \\ help\nin "two" lines.
                # TYPE a_bytes gauge
                a_bytes{x="a\"b\\c\nd",y="ü"} 1

                """#)
    }

    @Test("A family without samples is not there")
    func empty() {
        #expect(written(gauge) { _ in }.isEmpty)
    }

    @Test("Numbers as Go reads them")
    func numbers() {
        #expect(MetricsText.number(.nan) == "NaN")
        #expect(MetricsText.number(.infinity) == "+Inf")
        #expect(MetricsText.number(-.infinity) == "-Inf")
        #expect(MetricsText.number(1_790_000_000.25) == "1790000000.25")
        #expect(MetricsText.number(3) == "3")
        #expect(MetricsText.number(0.00001) == "1e-05")
        let largest = written(MetricFamily("b_total", .counter, "B.")) { $0.add(UInt64.max) }
        #expect(largest.hasSuffix("b_total 18446744073709551615\n"))
    }

    @Test("The buckets of a histogram are cumulative and end with all")
    func histogram() {
        let family = MetricFamily("c_seconds", .histogram, ["b"], "C.")
        let text = written(family) {
            $0.add(["x"], MetricHistogram(bounds: [0.5, 1], counts: [2, 0, 3], sum: 12.5))
        }
        #expect(
            text.split(separator: "\n").dropFirst(2).joined(separator: "\n") == """
                c_seconds_bucket{b="x",le="0.5"} 2
                c_seconds_bucket{b="x",le="1"} 2
                c_seconds_bucket{b="x",le="+Inf"} 5
                c_seconds_sum{b="x"} 12.5
                c_seconds_count{b="x"} 5
                """)
    }

    @Test("Each name is there once, by the rules of names")
    func catalogue() {
        let names = MetricCatalogue.all.map(\.name)
        #expect(Set(names).count == names.count)
        for family in MetricCatalogue.all {
            #expect(family.name.hasPrefix("limpet_") || family.name.hasPrefix("process_"), "\(family.name)")
            #expect((family.kind == .counter) == family.name.hasSuffix("_total"), "\(family.name)")
            #expect(family.help.hasSuffix(".") && !family.help.contains("\n"), "\(family.name)")
            #expect(!family.labels.contains { $0.contains("client") || $0 == "le" }, "\(family.name)")
        }
    }
}
