package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"
)

// Default options come from a file per program: mosquitto_pub, mosquitto_sub
// and mosquitto_rr in $XDG_CONFIG_HOME or $HOME/.config for those names, and
// pub, sub and rr in the directory iotctl there for our own. Each line is an
// option as on the command line; all behind the first blank is its value. A
// line that begins with # is a comment.

// environment lists the variables that stand for options of our own name.
var environment = []struct{ variable, option string }{
	{"IOTCTL_URL", "--url"},
	{"IOTCTL_HOST", "--host"},
	{"IOTCTL_PORT", "--port"},
	{"IOTCTL_USERNAME", "--username"},
	{"IOTCTL_PASSWORD_FILE", "--password-file"},
	{"IOTCTL_PASSWORD", "--pw"},
}

// ownDefaults is what the file and the environment say.
func ownDefaults(p program, given []assignment) ([]assignment, error) {
	options := optionsFor(p, false)
	var all []assignment
	ignore := false
	for _, a := range given {
		ignore = ignore || a.option.long == "no-defaults"
	}
	if path := configPath("iotctl", strings.ReplaceAll(p.String(), " ", "-")); path != "" && !ignore {
		lines, err := readDefaults(path)
		if err != nil {
			return nil, fail(exitUsage, err)
		}
		for _, l := range lines {
			a, err := ownDefault(options, l)
			if err != nil {
				return nil, fail(exitUsage, fmt.Errorf("%s: %w", l.origin, err))
			}
			all = append(all, a)
		}
	}
	for _, e := range environment {
		if v := os.Getenv(e.variable); v != "" {
			all = append(all, assignment{findOption(options, e.option), v, e.variable})
		}
	}
	return all, nil
}

// ownDefault reads a line: blanks around it do not count, --option=value
// works, and the words of -D may be quoted.
func ownDefault(options []*option, l defaultLine) (assignment, error) {
	word, value, hasValue := strings.Cut(strings.TrimSpace(l.text), " ")
	if name, v, ok := strings.Cut(word, "="); ok && !hasValue {
		word, value, hasValue = name, v, true
	}
	value = strings.TrimSpace(value)
	o := findOption(options, word)
	switch {
	case o == nil:
		return assignment{}, fmt.Errorf("unknown option %q", word)
	case o.arg == "" && hasValue:
		return assignment{}, fmt.Errorf("option %s takes no value", word)
	case o.arg != "" && !hasValue:
		return assignment{}, fmt.Errorf("option %s needs a value", word)
	case o.long == "property":
		words, err := splitWords(value)
		if err != nil {
			return assignment{}, err
		}
		value = strings.Join(words, wordSeparator)
	}
	return assignment{o, value, l.origin}, nil
}

// splitWords splits at blanks outside of quotes.
func splitWords(s string) ([]string, error) {
	var words []string
	var word strings.Builder
	quote, inWord := rune(0), false
	for _, r := range s {
		switch {
		case quote != 0 && r == quote:
			quote = 0
		case quote == 0 && (r == '"' || r == '\''):
			quote, inWord = r, true
		case quote == 0 && (r == ' ' || r == '\t'):
			if inWord {
				words = append(words, word.String())
			}
			word.Reset()
			inWord = false
		default:
			word.WriteRune(r)
			inWord = true
		}
	}
	if quote != 0 {
		return nil, errors.New("a quotation mark is missing")
	}
	if inWord {
		words = append(words, word.String())
	}
	return words, nil
}

type defaultLine struct {
	text   string
	origin string
}

// readDefaults returns the lines that are neither empty nor comments; none if
// there is no such file.
func readDefaults(path string) ([]defaultLine, error) {
	content, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("default options: %w", err)
	}
	var lines []defaultLine
	n := 0
	for line := range strings.Lines(string(content)) {
		n++
		line = strings.TrimRight(line, "\r\n")
		if strings.TrimSpace(line) != "" && line[0] != '#' {
			lines = append(lines, defaultLine{line, fmt.Sprintf("%s:%d", path, n)})
		}
	}
	return lines, nil
}

// configPath joins path to the user's configuration directory; "" when there
// is none.
func configPath(path ...string) string {
	if dir := os.Getenv("XDG_CONFIG_HOME"); dir != "" {
		return filepath.Join(append([]string{dir}, path...)...)
	}
	if runtime.GOOS == "windows" {
		dir, err := os.UserConfigDir()
		if err != nil {
			return ""
		}
		return filepath.Join(append([]string{dir}, path...)...)
	}
	if dir := os.Getenv("HOME"); dir != "" {
		return filepath.Join(append([]string{dir, ".config"}, path...)...)
	}
	return ""
}
