package frame

import "testing"

// The check value of an algorithm is that of the ASCII digits 1 to 9.
var checkValues = map[string]uint32{
	"sum8": 0xdd, "sum16": 0x1dd, "lrc8": 0x23, "xor8": 0x31,
	"crc8": 0xf4, "crc8-maxim": 0xa1,
	"crc16-modbus": 0x4b37, "crc16-arc": 0xbb3d, "crc16-x25": 0x906e,
	"crc16-ccitt-false": 0x29b1, "crc16-xmodem": 0x31c3, "crc16-kermit": 0x2189,
	"crc16-hj212": 0x2f80, "crc32": 0xcbf43926,
}

func TestChecksumAlgorithms(t *testing.T) {
	digits := []byte("123456789")
	for _, name := range algorithms() {
		sum := sums[name].sum
		if sum == nil {
			sum = crcs[name].compile()
		}
		if got, want := sum(digits), checkValues[name]; got != want {
			t.Errorf("%s of 123456789: %X, want %X", name, got, want)
		}
	}
	if len(algorithms()) != len(checkValues) {
		t.Errorf("%d algorithms, %d check values", len(algorithms()), len(checkValues))
	}
}

// Parameters that no named algorithm has, with the check values that the
// catalogue of CRC algorithms gives.
func TestCustomCRC(t *testing.T) {
	for name, tt := range map[string]struct {
		p    crc
		want uint32
	}{
		"CRC-8/WCDMA":    {crc{width: 8, poly: 0x9b, refin: true, refout: true}, 0x25},
		"CRC-16/DNP":     {crc{width: 16, poly: 0x3d65, refin: true, refout: true, xorout: 0xffff}, 0xea82},
		"CRC-16/GENIBUS": {crc{width: 16, poly: 0x1021, init: 0xffff, xorout: 0xffff}, 0xd64e},
		"CRC-24/OPENPGP": {crc{width: 24, poly: 0x864cfb, init: 0xb704ce}, 0x21cf02},
		"CRC-32/BZIP2":   {crc{width: 32, poly: 0x04c11db7, init: 0xffffffff, xorout: 0xffffffff}, 0xfc891918},
	} {
		if got := tt.p.compile()([]byte("123456789")); got != tt.want {
			t.Errorf("%s of 123456789: %X, want %X", name, got, tt.want)
		}
	}
	// A register that goes in reflected and comes out straight is the same one
	// with its bits turned round.
	p := crc{width: 16, poly: 0x8005, refin: true, refout: false}
	if got := p.compile()([]byte("123456789")); got != 0xbcdd {
		t.Errorf("CRC-16/ARC without refout: %X, want BCDD", got)
	}
}
