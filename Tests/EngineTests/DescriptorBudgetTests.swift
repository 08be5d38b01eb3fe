import Testing

@testable import Engine

@Suite struct DescriptorBudgetTests {
    @Test func whatIsSharedOutFitsTheLimit() throws {
        for limit in [1024, 4096, 20_000, 65_536, 1_048_576] {
            for workers in [1, 2, 64] {
                let budget = DescriptorBudget(limit: limit, workers: workers, listeners: 2)
                #expect(
                    2 * budget.connections + 2 * budget.pipeCap + budget.reserve <= limit || budget.connections == 0)
            }
        }
    }

    @Test func theFormulaOfTheManual() {
        let budget = DescriptorBudget(limit: 20_000, workers: 2, listeners: 1)
        #expect(budget.connections == (20_000 - budget.reserve - 2 * budget.pipeCap) / 2)
        #expect(budget.connections >= 9000)
    }

    @Test func whoReadsMetricsTakesNoConnectionsPlace() {
        let without = DescriptorBudget(limit: 20_000, workers: 2, listeners: 1)
        let with = DescriptorBudget(limit: 20_000, workers: 2, listeners: 1, web: 36)
        #expect(with.reserve == without.reserve + 36)
        #expect(with.connections == without.connections - 18)
    }

    @Test func tooManyIsRefusedWithTheLimitThatItTakes() throws {
        let budget = DescriptorBudget(limit: 1024, workers: 1, listeners: 1)
        let error = #expect(throws: StartError.self) { try budget.admitted(wanted: 5000) }
        let text = try #require(error?.description)
        #expect(text.contains("--max-connections"))
        let needed = budget.needed(for: 5000)
        #expect(text.contains("\(needed)"))
        #expect(try DescriptorBudget(limit: needed, workers: 1, listeners: 1).admitted(wanted: 5000) == 5000)
    }

    @Test(arguments: [10, 1000, 5000, 100_000, 1_000_000])
    func theLimitThatIsNamedSuffices(wanted: Int) throws {
        let needed = DescriptorBudget(limit: 1024, workers: 4, listeners: 3).needed(for: wanted)
        #expect(DescriptorBudget(limit: needed, workers: 4, listeners: 3).connections >= wanted)
    }

    /// Docker's default was once 2^30 − 8: nobody has memory for tables of so many.
    @Test func aLimitWithoutEndIsNotUsedUp() throws {
        for limit in [(1 << 30) - 8, Int(Int32.max), Int.max] {
            let budget = DescriptorBudget(limit: limit, workers: 64, listeners: 2)
            #expect(budget.limit == 1 << 22)
            #expect((2_000_000..<1 << 21).contains(try budget.admitted(wanted: nil)))
        }
    }

    @Test func aLimitWithoutRoomIsRefused() {
        #expect(throws: StartError.self) {
            try DescriptorBudget(limit: 100, workers: 1, listeners: 1).admitted(wanted: nil)
        }
    }

    @Test func lessThanFitsIsTaken() throws {
        #expect(try DescriptorBudget(limit: 20_000, workers: 1, listeners: 1).admitted(wanted: 10) == 10)
    }
}
