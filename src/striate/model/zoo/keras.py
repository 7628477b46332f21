"""Accuracies of networks as Keras Applications states them, which most courses show.

Name, top-1 and top-5 in percent on ImageNet's validation images, one crop at the size the network was made for.
Source: the table "Available models" at keras.io/api/applications.
"""

STATED = {
    "xception": (79.0, 94.5),
    "vgg16": (71.3, 90.1),
    "vgg19": (71.3, 90.0),
    "resnet50": (74.9, 92.1),
    "resnet101": (76.4, 92.8),
    "resnet152": (76.6, 93.1),
    "resnetv2_50": (76.0, 93.0),
    "resnetv2_101": (77.2, 93.8),
    "resnetv2_152": (78.0, 94.2),
    "inception_v3": (77.9, 93.7),
    "inception_resnet_v2": (80.3, 95.3),
    "mobilenetv1_100": (70.4, 89.5),
    "mobilenet_v2": (71.3, 90.1),
    "densenet121": (75.0, 92.3),
    "densenet169": (76.2, 93.2),
    "densenet201": (77.3, 93.6),
    "nasnetamobile": (74.4, 91.9),
    "nasnetalarge": (82.5, 96.0),
    "efficientnet_b0": (77.1, 93.3),
    "efficientnet_b1": (79.1, 94.4),
    "efficientnet_b2": (80.1, 94.9),
    "efficientnet_b3": (81.6, 95.7),
    "efficientnet_b4": (82.9, 96.4),
    "efficientnet_b5": (83.6, 96.7),
    "efficientnet_b6": (84.0, 96.8),
    "efficientnet_b7": (84.3, 97.0),
}
