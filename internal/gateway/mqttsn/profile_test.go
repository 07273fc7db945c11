package mqttsn

import (
	"strings"
	"testing"
)

func TestProfiles(t *testing.T) {
	with := func(profile string) Config {
		c := Config{Compat: Compat{Profile: profile}}
		if err := c.Validate(); err != nil {
			t.Error(err)
		}
		return c.withDefaults()
	}
	if c := with(""); c.Sessions.Rebind != rebindSleep || !*c.Sleep.AnyPing || c.Compat.ReturnCodes != codesStandard {
		t.Errorf("none: %+v", c)
	}
	if c := with("strict"); c.Sessions.AsleepConnect != asleepStrict || c.Sessions.EmptyClientID != emptyRefuse || c.Sessions.MaxClientID != 23 || *c.Sleep.AnyPing {
		t.Errorf("strict: %+v", c)
	}
	if c := with("emqx"); c.Compat.ReturnCodes != codesEMQX || *c.Sleep.AnyPing {
		t.Errorf("emqx: %+v", c)
	}
	if c := with("paho"); c.Sessions.Rebind != rebindNever {
		t.Errorf("paho: %+v", c)
	}
	if c := with("rsmb"); c.Sessions.Rebind != rebindNever || !c.QoSMinusOne.Named || c.QoSMinusOne.Enabled {
		t.Errorf("rsmb: %+v", c)
	}
	c := Config{Compat: Compat{Profile: "paho"}, Sessions: Sessions{Rebind: rebindAlways}}
	if c = c.withDefaults(); c.Sessions.Rebind != rebindAlways {
		t.Error("what is set by itself does not go before")
	}
	if err := (Config{Compat: Compat{Profile: "Paho"}}).Validate(); err == nil || !strings.Contains(err.Error(), `compat.profile: "Paho" is not known; it is strict, emqx, paho or rsmb`) {
		t.Errorf("%v", err)
	}
}
