from lake.environment import prepare

prepare()  # before torch is imported, which reads the variables once
