import Testing

@testable import Control

/// What the charts are drawn from is bounded, and forgets what has gone.
@Suite struct StatusHistoryTests {
    private func point(_ connections: Int) -> StatusHistory.Point {
        StatusHistory.Point(connections: connections, rates: StatusDocument.Rates(accepts: 1.26))
    }

    @Test func olderStepsGo() {
        var history = StatusHistory()
        for number in 1...250 { history.add(["": point(number)]) }
        let whole = history.whole
        #expect(whole.step == 250)
        #expect(whole.series[""]?.connections == Array(151...250))
        #expect(whole.series[""]?.accepts.last == 1.3)
        #expect(history.lastStep.series[""]?.connections == [250])
    }

    @Test func whatHasGoneIsForgotten() {
        var history = StatusHistory()
        history.add(["": point(1), "a/b": point(2)])
        history.add(["": point(1)])
        #expect(history.whole.series.keys.sorted() == [""])
        history.add(["": point(1), "a/b": point(3)])
        #expect(history.whole.series["a/b"]?.connections == [3])
    }

    @Test func thereAreNoMoreSeriesThanMayBe() {
        var history = StatusHistory()
        history.add(Dictionary(uniqueKeysWithValues: (0..<1000).map { ("s/b\($0)", point($0)) }))
        #expect(history.whole.series.count == StatusHistory.mostSeries)
    }
}
