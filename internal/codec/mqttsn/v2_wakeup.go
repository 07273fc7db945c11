package mqttsn

// WakeupV2 tells a sleeping client that something waits.
type WakeupV2 struct{}

// ParseWakeupV2 reads the body of a WAKEUP message, which is empty.
func ParseWakeupV2(body []byte, o *Options) (WakeupV2, error) {
	r := newReader(TypeWakeupV2, body, o)
	return WakeupV2{}, r.end()
}

// Type implements Message.
func (WakeupV2) Type() Type { return TypeWakeupV2 }

// Size implements Message.
func (WakeupV2) Size() int { return messageSize(0) }

// Append implements Message.
func (WakeupV2) Append(dst []byte) ([]byte, error) { return appendHeader(dst, TypeWakeupV2, 0) }
