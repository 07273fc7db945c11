// Package report turns recorded runs of the load engine into text, JSON, CSV,
// one HTML page, JUnit's XML and Prometheus' text, and compares runs.
//
// # Promises
//
// A run that was cut off is read as far as it goes, and every format says so.
// What is read is hostile: the memory for a run of any length is bounded, by
// folding neighbouring intervals into one, and every text is escaped for where
// it goes. The page needs nothing but itself: no script, font or picture from
// elsewhere, and without JavaScript nothing is missing but the looks of the
// tooltips.
//
// A comparison says which method it has used and what its confidence is about:
// runs, when there are several of each side, or else intervals of single runs,
// which tell nothing about how runs differ from each other.
//
// # To add a format
//
// x.go with a function that writes a *Run, and a line in the table of
// cmd/iotctl/bench_report.go.
package report
