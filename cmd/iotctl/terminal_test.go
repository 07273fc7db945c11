package main

import (
	"errors"
	"io"
	"os"
	"slices"
	"strings"
	"syscall"
	"testing"
)

func TestColorFollowsTheRulesOfTheTerminal(t *testing.T) {
	for _, tt := range []struct {
		name string
		mode string
		tty  bool
		env  string
		want bool
	}{
		{"terminal", "auto", true, "", true},
		{"pipe", "auto", false, "", false},
		{"NO_COLOR", "auto", true, "NO_COLOR=1", false},
		{"empty NO_COLOR", "auto", true, "NO_COLOR=", true},
		{"dumb terminal", "auto", true, "TERM=dumb", false},
		{"FORCE_COLOR", "auto", false, "FORCE_COLOR=1", true},
		{"FORCE_COLOR over dumb", "auto", false, "FORCE_COLOR=1 TERM=dumb", true},
		{"FORCE_COLOR=0", "auto", false, "FORCE_COLOR=0", false},
		{"NO_COLOR over FORCE_COLOR", "auto", true, "FORCE_COLOR=1 NO_COLOR=1", false},
		{"always", "always", false, "NO_COLOR=1", true},
		{"never", "never", true, "FORCE_COLOR=1", false},
	} {
		env := func(name string) (string, bool) {
			for _, v := range strings.Fields(tt.env) {
				if k, v, _ := strings.Cut(v, "="); k == name {
					return v, true
				}
			}
			return "", false
		}
		if got := wantColor(tt.mode, tt.tty, env); got != tt.want {
			t.Errorf("%s: %v, want %v", tt.name, got, tt.want)
		}
	}
}

func TestEveryErrorHasItsExitCode(t *testing.T) {
	for _, tt := range []struct {
		err  error
		want exitCode
	}{
		{nil, exitOK},
		{errors.New("x"), exitFailed},
		{usagef("x"), exitUsage},
		{fail(exitConnect, io.EOF), exitConnect},
		{errors.Join(fail(exitLost, io.EOF), nil), exitLost},
		{signalled{os.Interrupt}, 130},
		{signalled{syscall.SIGTERM}, 143},
		{&os.PathError{Op: "write", Path: "|1", Err: syscall.EPIPE}, exitOK},
	} {
		if got := codeOf(tt.err); got != tt.want {
			t.Errorf("%v: %d, want %d", tt.err, got, tt.want)
		}
	}
}

func TestExitCodesAreListedOnce(t *testing.T) {
	var codes []exitCode
	for _, c := range exitCodes {
		if slices.Contains(codes, c.code) {
			t.Errorf("%d appears twice", c.code)
		}
		codes = append(codes, c.code)
	}
	if !slices.IsSorted(codes) {
		t.Errorf("not in order: %v", codes)
	}
}

func TestComplaintsInOurOwnManner(t *testing.T) {
	for text, want := range map[string]string{
		"Invalid port given: 7":                     "invalid port given: 7",
		"-q argument given but no QoS specified.\n": "-q argument given but no QoS specified",
		"\nCombining '-R' makes no sense.":          "combining '-R' makes no sense",
		"!Error in PUBLISH properties: Duplicate":   "error in PUBLISH properties: Duplicate",
		"?user-property property not supported.\n":  "user-property property not supported",
		"Unable to open.\n!Error loading input.":    "unable to open",
		"QoS 3":                                     "QoS 3",
		"Malformed UTF-8 in -t argument.\n":         "malformed UTF-8 in -t argument",
		"TLS is not":                                "TLS is not",
	} {
		if got := complaint(text).Error(); got != want {
			t.Errorf("%q: %q, want %q", text, got, want)
		}
	}
}

func TestPropertiesAreFoldedForTheParser(t *testing.T) {
	for in, want := range map[string]string{
		"pub -D publish content-type text -t a":         "pub -D publish|content-type|text -t a",
		"pub --property publish user-property a b -t a": "pub --property publish|user-property|a|b -t a",
		"pub -m -D -t a":                      "pub -m -D -t a",
		"pub -m -D -D publish content-type x": "pub -m -D -D publish|content-type|x",
		"pub -r -D publish content-type x":    "pub -r -D publish|content-type|x",
		"pub -D publish":                      "pub -D publish",
		"pub -D":                              "pub -D",
		"--color never sub -D subscribe user-property a b -v": "--color never sub -D subscribe|user-property|a|b -v",
		"--color=never sub -D subscribe user-property a b -v": "--color=never sub -D subscribe|user-property|a|b -v",
		"serve -D publish content-type x":                     "serve -D publish content-type x",
		"--color never":                                       "--color never",
		"":                                                    "",
	} {
		got := strings.ReplaceAll(strings.Join(foldProperties(strings.Fields(in)), " "), wordSeparator, "|")
		if got != want {
			t.Errorf("%q: %q, want %q", in, got, want)
		}
	}
}

func TestCipherSuitesByEitherName(t *testing.T) {
	for _, list := range []string{
		"ECDHE-RSA-AES128-GCM-SHA256", "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256", "ECDHE-ECDSA-CHACHA20-POLY1305",
		"ECDHE-RSA-AES256-SHA", "AES128-SHA256", "AES256-GCM-SHA384", "ECDHE-RSA-DES-CBC3-SHA",
	} {
		if ids, err := cipherSuites(list); err != nil || len(ids) != 1 {
			t.Errorf("%s: %v, %v", list, ids, err)
		}
	}
	if _, err := cipherSuites("ECDHE-RSA-AES128-GCM-SHA256:NONE"); err == nil {
		t.Error("an unknown name passes")
	}
}

func TestAtoiReadsAsCDoes(t *testing.T) {
	for in, want := range map[string]int{"": 0, "12": 12, " 12": 12, "-3": -3, "+4": 4, "5x": 5, "x5": 0, "--1": 0} {
		if got := atoi(in); got != want {
			t.Errorf("%q: %d, want %d", in, got, want)
		}
	}
}
