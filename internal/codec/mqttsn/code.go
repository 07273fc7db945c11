package mqttsn

import "fmt"

// ReturnCode is the answer to a request of 1.2. SN-5.3.10
type ReturnCode uint8

// Codes. The others are reserved, and refusals.
const (
	Accepted       ReturnCode = 0
	Congestion     ReturnCode = 1
	InvalidTopicID ReturnCode = 2
	NotSupported   ReturnCode = 3
)

func (c ReturnCode) String() string {
	switch c {
	case Accepted:
		return "accepted"
	case Congestion:
		return "congestion"
	case InvalidTopicID:
		return "invalid topic ID"
	case NotSupported:
		return "not supported"
	}
	return fmt.Sprintf("reserved return code 0x%02x", uint8(c))
}
