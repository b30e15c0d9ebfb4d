module sealwright.test/log-judge

go 1.26.8

require golang.org/x/mod v0.39.0
