import CContinuity
import Glibc
import Linux
import Testing

struct DescriptorTableTests {
    /// In a table that was handed down the last number may be a connection's.
    @Test func growingTakesNobodysNumber() throws {
        let number: Int32 = 11_500
        let pipe = try Pipe.open(capacity: 4096)
        defer { pipe.close() }
        try #require(fcntl(pipe.write, F_DUPFD, number) == number)
        defer { Descriptor.close(number) }
        limpet_grow_descriptor_table(number + 1)
        #expect(Transfer.write(number, from: [1], count: 1) == .moved(1))
    }

    @Test func growingLeavesNothingOpen() {
        limpet_grow_descriptor_table(11_702)
        #expect(fcntl(11_701, F_GETFD) == -1)
    }
}
