package mqttsn

import "github.com/iotctl/iotctl/internal/gateway"

// Values of Compat.Profile.
const (
	profileStrict = "strict"
	profileEMQX   = "emqx"
	profilePaho   = "paho"
	profileRSMB   = "rsmb"
)

// profile has settings be what clients of another gateway know, or what the
// specification says to the letter. What is set by itself goes before.
func (c *Config) profile() {
	no := false
	switch c.Compat.Profile {
	case profileStrict:
		gateway.Default(&c.Sessions.AsleepConnect, asleepStrict)
		gateway.Default(&c.Sessions.EmptyClientID, emptyRefuse)
		gateway.Default(&c.Sessions.MaxClientID, 23)
		gateway.Default(&c.Sleep.AnyPing, &no)
	case profileEMQX:
		gateway.Default(&c.Compat.ReturnCodes, codesEMQX)
		gateway.Default(&c.Sleep.AnyPing, &no)
	case profilePaho: // clients are addresses there
		gateway.Default(&c.Sessions.Rebind, rebindNever)
	case profileRSMB:
		gateway.Default(&c.Sessions.Rebind, rebindNever)
		c.QoSMinusOne.Named = true
	}
}
