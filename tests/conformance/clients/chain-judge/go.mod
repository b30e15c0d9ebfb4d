module sealwright.test/chain-judge

go 1.26.8

require github.com/notaryproject/notation-core-go v1.3.0
