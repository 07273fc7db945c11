package mqttsn

// Bits of the flags. SN-5.3.4
const (
	flagDup    = 0x80
	flagQoS    = 0x60
	flagRetain = 0x10
	flagWill   = 0x08
	flagClean  = 0x04
	flagTopic  = 0x03
)

// QoSMinusOne publishes without a connection.
const QoSMinusOne int8 = -1

// qosOf is the quality of service in flags, from -1 to 2.
func qosOf(flags byte) int8 {
	if flags&flagQoS == flagQoS {
		return QoSMinusOne
	}
	return int8(flags & flagQoS >> 5)
}

func qosBits(q int8) byte { return byte(q) & 3 << 5 }

func bit(set bool, b byte) byte {
	if set {
		return b
	}
	return 0
}
