package mqttsn

import "testing"

// The rig's session has base 999 (03e7), so that the broker's packet identifier 1
// is MsgId 03e8; identifiers of topics begin with 1, MsgIds of REGISTER with 0064.
func TestOutboxDialogues(t *testing.T) {
	for name, script := range map[string]string{
		"QoS 0 with a topic that is told": `
			publish a/b 0 x
			G 090a 0001 0064 "a/b"
			C 070b 0001 0064 00
			G 080c 00 0001 0000 "x"
			publish a/b 0 y
			G 080c 00 0001 0000 "y"`,
		"QoS 1": `
			publish a/b 1 x
			G 090a 0001 0064 "a/b"
			C 070b 0001 0064 00
			G 080c 20 0001 03e8 "x"
			C 070d 0001 03e8 00
			told {0 1}
			publish a/b 1 y
			G 080c 20 0001 03e9 "y"`,
		"QoS 2": `
			publish ab 2 x
			G 080c 42 6162 03e8 "x"
			C 040f 03e8
			told {1 1}
			G 0410 03e8
			C 040e 03e8
			told {3 1}`,
		"short topics need no REGISTER": `
			publish ab 1 x
			G 080c 22 6162 03e8 "x"
			C 070d 6162 03e8 00
			told {0 1}`,
		"one exchange at a time": `
			publish ab 1 x
			G 080c 22 6162 03e8 "x"
			publish ab 0 y
			publish cd 2 z
			publish ab 0 w
			C 070d 6162 03e8 00
			G 080c 02 6162 0000 "y"
			G 080c 42 6364 03e9 "z"
			C 040f 03e9
			G 0410 03e9
			C 040e 03e9
			G 080c 02 6162 0000 "w"`,
		"PUBLISH again, with DUP": `
			publish ab 1 x
			G 080c 22 6162 03e8 "x"
			advance 11s
			G 080c a2 6162 03e8 "x"
			advance 11s
			G 080c a2 6162 03e8 "x"
			C 070d 6162 03e8 00
			told {0 1}
			advance 60s`,
		"PUBREL again, as it is": `
			publish ab 2 x
			G 080c 42 6162 03e8 "x"
			C 040f 03e8
			G 0410 03e8
			advance 11s
			G 0410 03e8
			C 040f 03e8
			G 0410 03e8
			C 040e 03e8`,
		"REGISTER again, as it is": `
			publish a/b 0 x
			G 090a 0001 0064 "a/b"
			advance 11s
			G 090a 0001 0064 "a/b"
			C 070b 0001 0064 00
			G 080c 00 0001 0000 "x"`,
		"who does not answer is lost": `
			publish ab 1 x
			G 080c 22 6162 03e8 "x"
			advance 11s
			G 080c a2 6162 03e8 "x"
			advance 11s
			G 080c a2 6162 03e8 "x"
			advance 11s
			G 080c a2 6162 03e8 "x"
			advance 11s
			G 080c a2 6162 03e8 "x"
			advance 8s
			advance 4s
			lost`,
		"a topic that the client refuses is not offered again": `
			publish a/b 1 x
			G 090a 0001 0064 "a/b"
			C 070b 0001 0064 03
			told {0 1}
			publish a/b 0 y`,
		"the rest goes on after a refusal": `
			publish a/b 2 x
			G 090a 0001 0064 "a/b"
			publish cd 0 y
			publish a/b 0 z
			publish cd 0 w
			C 070b 0000 0064 02
			told {2 1}
			G 080c 02 6364 0000 "y"
			G 080c 02 6364 0000 "w"`,
		"REGISTER later when the client is congested": `
			publish a/b 0 x
			G 090a 0001 0064 "a/b"
			C 070b 0001 0064 01
			advance 8s
			advance 3s
			G 090a 0001 0065 "a/b"
			C 070b 0001 0065 00
			G 080c 00 0001 0000 "x"`,
		"an identifier that the client does not know is told again": `
			publish a/b 1 x
			G 090a 0001 0064 "a/b"
			C 070b 0001 0064 00
			G 080c 20 0001 03e8 "x"
			C 070d 0001 03e8 02
			G 090a 0001 0065 "a/b"
			C 070b 0001 0065 00
			G 080c a0 0001 03e8 "x"
			C 070d 0001 03e8 02
			G 090a 0001 0066 "a/b"
			C 070d 0001 03e8 02
			C 070b 0001 0066 00
			G 080c a0 0001 03e8 "x"
			C 070d 0001 03e8 02
			G 090a 0001 0067 "a/b"
			C 070b 0001 0067 00
			G 080c a0 0001 03e8 "x"
			told
			C 070d 0001 03e8 02
			told {0 1}`,
		"and at QoS 0 for the next message": `
			publish a/b 0 x
			G 090a 0001 0064 "a/b"
			C 070b 0001 0064 00
			G 080c 00 0001 0000 "x"
			C 070d 0001 0000 02
			publish a/b 0 y
			G 090a 0001 0065 "a/b"
			C 070b 0001 0065 00
			G 080c 00 0001 0000 "y"`,
		"a refusal ends the exchange": `
			publish ab 1 x
			G 080c 22 6162 03e8 "x"
			C 070d 6162 03e8 01
			told {0 1}
			publish ab 2 y
			G 080c 42 6162 03e9 "y"
			C 070d 6162 03e9 03
			told {2 2}
			advance 60s`,
		"what was never asked for means nothing": `
			C 070d 6162 03e8 00
			C 040f 03e8
			C 040e 03e8
			C 070b 0001 0064 00
			publish ab 1 x
			G 080c 22 6162 03e8 "x"
			C 070d 6162 03e9 00
			C 040f 03e8
			C 040e 03e8
			C 070b 0001 0064 00
			told
			C 070d 6162 03e8 00
			told {0 1}`,
		"asleep nothing leaves": `
			C 0418 003c
			G 0218
			publish ab 0 x
			publish ab 1 y
			publish ab 1 z
			advance 60s
			C 0516 "dev"
			G 080c 02 6162 0000 "x"
			G 080c 22 6162 03e8 "y"
			state awake
			C 070d 6162 03e8 00
			G 080c 22 6162 03e9 "z"
			C 070d 6162 03e9 00
			G 0217
			state asleep
			publish ab 1 w
			advance 60s`,
		"nothing waits": `
			C 0418 003c
			G 0218
			C 0516 "dev"
			G 0217
			state asleep`,
		"QoS 0 alone waits": `
			C 0418 003c
			G 0218
			publish ab 0 x
			C 0516 "dev"
			G 080c 02 6162 0000 "x"
			G 0217
			state asleep`,
		"a PINGREQ that is repeated repeats what is outstanding": `
			C 0418 003c
			G 0218
			publish ab 2 x
			C 0516 "dev"
			G 080c 42 6162 03e8 "x"
			C 0516 "dev"
			G 080c c2 6162 03e8 "x"
			C 040f 03e8
			G 0410 03e8
			C 0516 "dev"
			G 0410 03e8
			C 040e 03e8
			G 0217
			C 0516 "dev"
			G 0217`,
		"what comes while awake comes before PINGRESP": `
			C 0418 003c
			G 0218
			publish ab 1 x
			C 0516 "dev"
			G 080c 22 6162 03e8 "x"
			publish ab 1 y
			publish ab 0 z
			C 070d 6162 03e8 00
			G 080c 22 6162 03e9 "y"
			C 070d 6162 03e9 00
			G 080c 02 6162 0000 "z"
			G 0217`,
		"who is silent while awake sleeps again": `
			C 0418 003c
			G 0218
			publish ab 1 x
			C 0516 "dev"
			G 080c 22 6162 03e8 "x"
			advance 11s
			G 080c a2 6162 03e8 "x"
			advance 11s
			G 080c a2 6162 03e8 "x"
			advance 11s
			G 080c a2 6162 03e8 "x"
			advance 11s
			G 080c a2 6162 03e8 "x"
			advance 12s
			state asleep
			advance 60s
			C 0516 "dev"
			G 080c a2 6162 03e8 "x"
			C 070d 6162 03e8 00
			G 0217`,
		"a late PUBACK counts": `
			publish ab 1 x
			G 080c 22 6162 03e8 "x"
			C 0418 003c
			G 0218
			C 070d 6162 03e8 00
			told {0 1}
			C 0516 "dev"
			G 0217`,
		"a late PUBREC counts": `
			publish ab 2 x
			G 080c 42 6162 03e8 "x"
			C 0418 003c
			G 0218
			C 040f 03e8
			told {1 1}
			C 0516 "dev"
			G 0410 03e8
			C 040e 03e8
			G 0217`,
		"topics stay confirmed over sleep": `
			publish a/b 0 x
			G 090a 0001 0064 "a/b"
			C 070b 0001 0064 00
			G 080c 00 0001 0000 "x"
			C 0418 003c
			G 0218
			publish a/b 0 y
			C 0516 "dev"
			G 080c 00 0001 0000 "y"
			G 0217`,
		"but not over a connection": `
			publish a/b 0 x
			G 090a 0001 0064 "a/b"
			C 070b 0001 0064 00
			G 080c 00 0001 0000 "x"
			C 0418 003c
			G 0218
			publish a/b 0 y
			publish a/b 1 z
			C 0904 00 01 003c "dev"
			G 0305 00
			G 090a 0001 0065 "a/b"
			C 070b 0001 0065 00
			G 080c 00 0001 0000 "y"
			G 080c 20 0001 03e8 "z"`,
		"a REGISTER under way goes on in the next wake": `
			C 0418 003c
			G 0218
			publish a/b 0 y
			C 0516 "dev"
			G 090a 0001 0064 "a/b"
			C 0418 003c
			G 0218
			C 0516 "dev"
			G 090a 0001 0064 "a/b"
			C 070b 0001 0064 00
			G 080c 00 0001 0000 "y"
			G 0217`,
		"a congested sleeper is left in peace": `
			C 0418 003c
			G 0218
			publish a/b 0 y
			C 0516 "dev"
			G 090a 0001 0064 "a/b"
			C 070b 0001 0064 01
			G 0217
			advance 60s
			C 0516 "dev"
			G 090a 0001 0065 "a/b"
			C 070b 0001 0065 00
			G 080c 00 0001 0000 "y"
			G 0217`,
	} {
		t.Run(name, func(t *testing.T) { newRig(t, nil).play(script) })
	}
}
