import Testing

@testable import Forwarding

@Suite struct TokenTests {
    @Test(arguments: [(0, 0, UInt32(1)), (9_289, 1, 0x7fff_ffff), (Int(UInt32.max), 1, 1), (5, 0, 12345)])
    func whatGoesInComesOut(slot: Int, side: Int, generation: UInt32) {
        let token = Token.record(slot, side: side, generation: generation)
        #expect(Token.slot(token) == slot)
        #expect(Token.side(token) == side)
        #expect(Token.generation(token) == generation)
    }

    @Test func theWorkersOwnDescriptorsAreNoRecords() {
        #expect(Token.generation(Token.mailbox) == 0)
        #expect(Token.generation(Token.listener(1023)) == 0)
        #expect(Token.slot(Token.listener(1023)) == 1023)
        #expect(Token.mailbox != Token.listener(0))
    }
}

@Suite struct FreeSlotsTests {
    @Test func slotsComeLowestFirstAndAreUsedAgainBeforeNewOnes() {
        var free = FreeSlots(count: 3)
        #expect(free.take() == 0)
        #expect(free.take() == 1)
        free.giveBack(0)
        #expect(free.take() == 0)
        #expect(free.highWater == 2)
        #expect(free.take() == 2)
        #expect(free.take() == nil)
        free.giveBack(1)
        #expect(free.take() == 1)
    }
}
